"""The newest events of the log, in memory: committed or read once, decoded once, for all readers of this process."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from domain.ports import RecordedEvent

MOST_EVENTS = 20_000
MOST_BYTES = 32_000_000
PAGE_BYTES = 8_000_000


class Page(NamedTuple):
    """Events in order, and about how many bytes they are."""

    events: list[RecordedEvent]
    size: int


class _Run:
    """Consecutive events, from position `first` to before `end`."""

    __slots__ = ("events", "first", "sizes")

    def __init__(self, first: int) -> None:
        self.first = first
        self.events: list[RecordedEvent] = []
        self.sizes: list[int] = []

    @property
    def end(self) -> int:
        return self.first + len(self.events)

    def join(self, first: int, events: Sequence[RecordedEvent], sizes: Sequence[int]) -> int:
        """Takes what of the events lies beyond the end, which they must reach; returns how many bytes that is."""
        known = self.end - first
        if known >= len(events):
            return 0
        self.events += events[known:]
        self.sizes += sizes[known:]
        return sum(sizes[known:])

    def drop(self, count: int) -> int:
        """Drops the oldest events; returns how many bytes they were."""
        size = sum(self.sizes[:count])
        del self.events[:count], self.sizes[:count]
        self.first += count
        return size


class EventTail:
    """Pieces of the log, up to the newest event known here; bounded in events and in bytes.

    Positions are dense and an event is committed only after all before it, so that a reader that takes a page from here
    misses nothing. Where other processes append as well there are holes, which close as soon as somebody reads them
    from the database.
    """

    def __init__(self, most_events: int = MOST_EVENTS, most_bytes: int = MOST_BYTES) -> None:
        self._most_events, self._most_bytes = most_events, most_bytes
        self._count = self._bytes = 0
        self._runs: list[_Run] = []

    def page(self, after: int, limit: int) -> Page | None:
        """The events after a position up to the next hole, at most `limit` and 8 MB of them; None where the first
        of them is not here."""
        run = self._run_of(after + 1)
        if run is None:
            return None
        start = after + 1 - run.first
        size = count = 0
        for one in run.sizes[start : start + limit]:
            size += one
            count += 1
            if size >= PAGE_BYTES:
                break
        return Page(run.events[start : start + count], size)

    def begins_after(self, position: int) -> bool:
        """Whether all that is here is newer than the event that follows a position."""
        return bool(self._runs) and self._runs[0].first > position + 1

    def hole(self, after: int) -> int | None:
        """How many events are missing until the next one that is here; None where there is no next one."""
        index = bisect_right(self._runs, after, key=_first)
        return self._runs[index].first - after - 1 if index < len(self._runs) else None

    def goes_on_after(self, position: int) -> bool:
        """Whether there are newer events here, next to that position or beyond a hole."""
        return bool(self._runs) and self._runs[-1].end > position + 1

    def event(self, position: int) -> RecordedEvent | None:
        """The event at a position; None where it is not here."""
        run = self._run_of(position)
        return None if run is None else run.events[position - run.first]

    def extend(self, events: Sequence[RecordedEvent], sizes: Sequence[int]) -> None:
        """Takes consecutive events of the log, save those that are older than all that is here: they would be the first
        to go.

        Args:
            sizes: about how many bytes each event holds.
        """
        if events and self.begins_after(events[0].position - 1):
            older = self._runs[0].first - events[0].position
            events, sizes = events[older:], sizes[older:]
        if not events:
            return
        first = events[0].position
        index = bisect_right(self._runs, first, key=_first) - 1
        if index < 0 or self._runs[index].end < first:
            index += 1
            self._runs.insert(index, _Run(first))
        run = self._runs[index]
        before = len(run.events)
        self._bytes += run.join(first, events, sizes)
        self._count += len(run.events) - before
        self._close_holes(run, index + 1)
        self._trim()

    def _run_of(self, position: int) -> _Run | None:
        index = bisect_right(self._runs, position, key=_first) - 1
        return self._runs[index] if index >= 0 and position < self._runs[index].end else None

    def _close_holes(self, run: _Run, index: int) -> None:
        """Joins the runs from `index` on that `run` has reached now."""
        while index < len(self._runs) and self._runs[index].first <= run.end:
            other = self._runs.pop(index)
            before = len(run.events)
            self._bytes += run.join(other.first, other.events, other.sizes) - sum(other.sizes)
            self._count += len(run.events) - before - len(other.events)

    def _trim(self) -> None:
        """Drops a quarter at a time, so that the lists are not moved for every event."""
        while self._count > self._most_events or (self._bytes > self._most_bytes and self._count > 1):
            self._drop_oldest(max(1, self._count // 4))

    def _drop_oldest(self, count: int) -> None:
        self._count -= count
        emptied = 0
        while count:
            run = self._runs[emptied]
            dropped = min(count, len(run.events))
            self._bytes -= run.drop(dropped)
            count -= dropped
            emptied += not run.events
        del self._runs[:emptied]


def _first(run: _Run) -> int:
    return run.first
