"""The newest events of the log, in memory: committed and decoded once for all readers of this process."""

from __future__ import annotations

from collections.abc import Sequence

from domain.ports import RecordedEvent

MOST_EVENTS = 20_000
MOST_BYTES = 32_000_000
PAGE_BYTES = 8_000_000


class EventTail:
    """A contiguous piece of the log that ends with the newest event known here; bounded in events and in bytes.

    Positions are dense and an event is committed only after all before it, so that a reader that takes a page from here
    misses nothing. What another process appended is missing until somebody reads it from the database.
    """

    def __init__(self, most_events: int = MOST_EVENTS, most_bytes: int = MOST_BYTES) -> None:
        self._most_events, self._most_bytes = most_events, most_bytes
        self._first = 1
        self._bytes = 0
        self._events: list[RecordedEvent] = []
        self._sizes: list[int] = []

    def page(self, after: int, limit: int) -> list[RecordedEvent] | None:
        """The events after a position, at most `limit` of them and 8 MB; None where they are not all here."""
        start = after + 1 - self._first
        if not 0 <= start < len(self._events):
            return None
        page = self._events[start : start + limit]
        size = 0
        for count, one in enumerate(self._sizes[start : start + limit], 1):
            size += one
            if size >= PAGE_BYTES:
                return page[:count]
        return page

    def extend(self, events: Sequence[RecordedEvent], sizes: Sequence[int]) -> None:
        """Takes consecutive events of the log; those that do not reach to the end of what is here begin it anew.

        Args:
            sizes: about how many bytes each event holds.
        """
        if not events:
            return
        end = self._first + len(self._events)
        known = end - events[0].position
        if known < 0 or not self._events:
            self._first, self._events, self._sizes, self._bytes = events[0].position, [], [], 0
            known = 0
        if known >= len(events):
            return
        self._events += events[known:]
        self._sizes += sizes[known:]
        self._bytes += sum(sizes[known:])
        self._trim()

    def _trim(self) -> None:
        """Drops a quarter at a time, so that the lists are not moved for every event."""
        while len(self._events) > self._most_events or (self._bytes > self._most_bytes and len(self._events) > 1):
            drop = max(1, len(self._events) // 4)
            self._bytes -= sum(self._sizes[:drop])
            del self._events[:drop], self._sizes[:drop]
            self._first += drop
