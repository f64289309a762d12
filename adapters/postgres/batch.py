"""What waits for the flusher, and how much of it goes into one transaction."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from eventsourcing.persistence import StoredEvent

from adapters.postgres.database import Connection
from domain.ports import Append, Outcome, StreamName

MAX_EVENTS = 1000
MAX_BYTES = 4_000_000


class Submission:
    """Appends that were brought together: `done` is set once each of them has an outcome or an error."""

    __slots__ = ("_missing", "done", "outcomes")

    def __init__(self, size: int) -> None:
        self.outcomes: list[Outcome | Exception | None] = [None] * size
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._missing = size
        if not size:
            self.done.set_result(None)

    def settle(self, index: int, outcome: Outcome | Exception) -> None:
        if self.outcomes[index] is None:
            self.outcomes[index] = outcome
            self._missing -= 1
            if not self._missing and not self.done.done():
                self.done.set_result(None)


@dataclass(slots=True)
class Unit:
    """One append on its way, with its events already encoded."""

    append: Append
    stored: Sequence[StoredEvent]
    size: int
    submission: Submission
    index: int

    def settle(self, outcome: Outcome | Exception) -> None:
        self.submission.settle(self.index, outcome)


@dataclass(slots=True)
class Operation:
    """Work of another kind that must run under the append lock, in the flusher's transaction."""

    run: Callable[[Connection], Awaitable[Any]]
    done: asyncio.Future[Any]

    def settle(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


@dataclass(slots=True)
class Batch:
    """What goes into one transaction.

    Attributes:
        claims: whether claims may be served in it.
        checked: whether every append is judged first; else only those that may be stored under a condition.
    """

    units: list[Unit] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    claims: bool = True
    checked: bool = False

    def smaller(self) -> list[Batch]:
        """What to try one after the other where the batch fails for a reason of its own: its halves, until the one
        append that causes it is alone; nothing where it is alone already.

        The claims are left out first: trouble with them must not keep anybody's append from being stored. The halves
        are checked, for an append that stands on one that has failed must conflict.
        """
        pieces = len(self.units) + len(self.operations)
        if self.claims and pieces:
            return [Batch(self.units, self.operations, claims=False, checked=True)]
        if pieces <= 1:
            return []
        half = pieces // 2
        halves = (self.units,) if self.operations else (self.units[:half], self.units[half:])
        return [
            *(Batch(operations=[operation], claims=False) for operation in self.operations),
            *(Batch(units, claims=False, checked=True) for units in halves if units),
        ]


def next_batch(waiting: deque[Unit], operations: list[Operation]) -> Batch:
    """Takes as many appends as fit; a second append to one version, or of one command, waits for the next batch."""
    batch = Batch(operations=operations)
    versions: dict[StreamName, int] = {}
    keys: set[tuple[str, str, str]] = set()
    events = size = 0
    deferred: list[Unit] = []
    while waiting and events < MAX_EVENTS and size < MAX_BYTES and len(batch.units) < MAX_EVENTS:
        unit = waiting.popleft()
        append = unit.append
        key = append.key.identity if append.key else None
        follows = versions.get(append.stream) if append.stream else None
        if key in keys or (follows is not None and follows != append.expected_version):
            deferred.append(unit)
            continue
        if append.also is not None and append.also.stream is not None:
            if append.also.stream in versions:
                deferred.append(unit)
                continue
            versions[append.also.stream] = append.also.expected_version + len(append.also.events)
        if key is not None:
            keys.add(key)
        if append.stream is not None:
            versions[append.stream] = append.expected_version + len(append.events)
        batch.units.append(unit)
        events += len(append.events)
        size += unit.size
    waiting.extendleft(reversed(deferred))
    return batch
