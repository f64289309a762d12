"""C10 and P7: judges how long things took. Pure; each function returns findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tests.faults.harness.checkers import Event
from tests.faults.harness.history import Injected, Probe

# Promised are two seconds; the rest is for a machine that runs everything at once, the servers' recovery included.
ANSWER_SECONDS = 6.0


def hung(probes: Iterable[Probe], excused: Mapping[str, Sequence[Injected]]) -> list[str]:
    """P7: questions that a running service did not answer in time.

    Args:
        excused: for each service, when it was itself stopped or frozen, from the injection to its recovery.
    """
    return [
        f"{probe['server']} took {probe['took']:.1f} s to answer ({probe['status']})"
        for probe in probes
        if probe["took"] > ANSWER_SECONDS
        and not any(_overlap(probe, fault) for fault in excused.get(probe["server"], ()))
    ]


def _overlap(probe: Probe, fault: Injected) -> bool:
    return probe["at"] < fault["at"] + fault["seconds"] and fault["at"] < probe["at"] + probe["took"]


def innocents_buried(log: Sequence[Event], poison: frozenset[str]) -> list[str]:
    """P9: jobs in the dead letters whose handlers do not fail.

    Args:
        poison: names of the jobs that must end there.
    """
    names = {event["subject"]: event["data"]["name"] for event in log if event["eventtype"] == "job.enqueued"}
    return [
        f"{event['subject']} ({names.get(event['subject'])}) was dead-lettered although nothing in it fails"
        for event in log
        if event["eventtype"] == "job.dead_lettered" and names.get(event["subject"]) not in poison
    ]


def poison_completed(log: Sequence[Event], poison: frozenset[str]) -> list[str]:
    """P9: jobs that always fail and were recorded as completed."""
    names = {event["subject"]: event["data"]["name"] for event in log if event["eventtype"] == "job.enqueued"}
    return [
        f"{event['subject']} ({names[event['subject']]}) was completed although it always fails"
        for event in log
        if event["eventtype"] == "job.completed" and names.get(event["subject"]) in poison
    ]
