"""Aggregates in memory: a bounded cache of the newest states, and one lock a stream until its commit."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from domain.aggregate import Aggregate, Event
from domain.errors import UnreadableHistory
from domain.ports import EventStore, Metadata, StreamName

SNAPSHOT_EVERY = 200


@dataclass(slots=True)
class Held:
    """An aggregate as of its last commit.

    Attributes:
        origin: metadata of its first event.
        position: of its newest event.
        weight: about how many bytes it takes.
    """

    aggregate: Aggregate
    origin: Metadata
    position: int
    weight: int = 1_000


class Aggregates:
    """Loads and keeps aggregates. Only committed states stay: whoever fails evicts.

    Args:
        size: most aggregates kept.
        weight: most bytes kept, about.
    """

    def __init__(self, store: EventStore, size: int = 20_000, weight: int = 64_000_000) -> None:
        self._store, self._size, self._limit = store, size, weight
        self._weight = 0
        self._kept: OrderedDict[StreamName, Held] = OrderedDict()
        self._expected: dict[StreamName, list[tuple[Event, int]]] = {}
        self._locks: dict[StreamName, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def locked(self, streams: Iterable[StreamName]) -> AsyncIterator[None]:
        """Holds the streams' locks, taken in one order so that two batches never wait for each other in a circle."""
        taken: list[StreamName] = []
        try:
            for stream in sorted(streams, key=lambda stream: stream.text):
                lock, users = self._locks.get(stream) or (asyncio.Lock(), 0)
                self._locks[stream] = (lock, users + 1)
                try:
                    await lock.acquire()
                except BaseException:
                    self._leave(stream)
                    raise
                taken.append(stream)
            yield
        finally:
            for stream in taken:
                self._locks[stream][0].release()
                self._leave(stream)

    def is_locked(self, stream: StreamName) -> bool:
        """Whether somebody is changing it, or waits to."""
        return stream in self._locks

    def _leave(self, stream: StreamName) -> None:
        lock, users = self._locks[stream]
        if users == 1:
            del self._locks[stream]
        else:
            self._locks[stream] = (lock, users - 1)

    async def load(
        self, streams: Sequence[StreamName], classes: dict[StreamName, type[Aggregate]]
    ) -> dict[StreamName, UnreadableHistory | None]:
        """Brings the streams that are not kept yet into memory, in one read; streams without events stay missing.

        Returns:
            The streams that were looked up just now, each with what made it unreadable, if anything did; what was kept
            from before may have been overtaken elsewhere.
        """
        missing = [stream for stream in streams if stream not in self._kept]
        if not missing:
            return {}
        looked_up: dict[StreamName, UnreadableHistory | None] = dict.fromkeys(missing)
        for stream, loaded in (await self._store.load(missing)).items():
            try:
                aggregate = classes[stream].replayed(loaded.events, loaded.snapshot)
            except UnreadableHistory as error:
                looked_up[stream] = error
                continue
            if aggregate is not None:
                self.keep(stream, Held(aggregate, loaded.origin, loaded.position))
                if len(loaded.events) >= SNAPSHOT_EVERY:
                    await self._store.save_snapshot(stream, aggregate)
        return looked_up

    @contextmanager
    def expecting(self, streams: Iterable[StreamName]) -> Iterator[None]:
        """While new streams are being stored: what is committed to one before it is kept here is not forgotten."""
        expected: dict[StreamName, list[tuple[Event, int]]] = {stream: [] for stream in streams}
        self._expected.update(expected)
        try:
            yield
        finally:
            for stream, events in expected.items():
                if self._expected.get(stream) is events:
                    del self._expected[stream]

    def advance(self, stream: StreamName, event: Event, position: int) -> None:
        """An event was committed by other means than a command: a kept aggregate follows, or is dropped."""
        held = self._kept.get(stream)
        if held is None:
            if stream in self._expected:
                self._expected[stream].append((event, position))
            return
        if event.originator_version <= held.aggregate.version:
            # It was loaded after that commit.
            return
        if held.aggregate.version == event.originator_version - 1:
            event.mutate(held.aggregate)
            held.position = position
        else:
            self.evict(stream)

    def get(self, stream: StreamName) -> Held | None:
        held = self._kept.get(stream)
        if held is not None:
            self._kept.move_to_end(stream)
        return held

    def keep(self, stream: StreamName, held: Held) -> None:
        self.evict(stream)
        self._kept[stream] = held
        self._weight += held.weight
        while len(self._kept) > self._size or self._weight > self._limit:
            _, oldest = self._kept.popitem(last=False)
            self._weight -= oldest.weight
        for event, position in self._expected.pop(stream, ()):
            self.advance(stream, event, position)

    def evict(self, stream: StreamName) -> None:
        held = self._kept.pop(stream, None)
        if held is not None:
            self._weight -= held.weight
