"""Causes and effects as a tree: which aggregate's event led to which other aggregate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from millrace.contracts.log import CloudEvent


@dataclass(slots=True)
class Step:
    """One event of an aggregate, with the aggregates that came into being because of it."""

    event: CloudEvent
    effects: list[Branch] = field(default_factory=list)


@dataclass(slots=True)
class Branch:
    """One aggregate's events in order. `effects` came from the aggregate without a single event being named."""

    kind: str
    id: str
    steps: list[Step] = field(default_factory=list)
    effects: list[Branch] = field(default_factory=list)


def causes_tree(events: Sequence[CloudEvent]) -> list[Branch]:
    """Arranges the events of one correlation, given in the order of the log; what nothing here caused is a root.

    An aggregate hangs under the event that its first event names as cause. Causes are looked for among earlier events
    only, so no order of ids can make a circle.
    """
    roots: list[Branch] = []
    branches: dict[tuple[str, str], Branch] = {}
    steps: dict[str, Step] = {}
    subjects: dict[str, Branch] = {}
    for event in events:
        if event.id in steps:
            continue
        key = (event.eventtype.partition(".")[0], event.subject)
        branch = branches.get(key)
        if branch is None:
            branch = branches[key] = Branch(*key)
            cause = event.causationid or ""
            home = steps.get(cause) or subjects.get(cause)
            (home.effects if home else roots).append(branch)
            subjects.setdefault(event.subject, branch)
        steps[event.id] = step = Step(event)
        branch.steps.append(step)
    return roots
