"""The relay: carries every committed event to the broker, in order, at least once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from domain.ports import Doorbell, EventPublisher, EventStore, Outgoing, Readers, RecordedEvent
from handlers.persistence import persistently

NAME = "relay"
PAGE = 1_000
POLL_SECONDS = 1.0
# Events of one moment travel together, and the answers of that moment before them.
GATHER_SECONDS = 0.01


class Relay:
    """The events table is the outbox: publish a page, wait for all confirms, save the position.

    A crash between the confirms and the position publishes the page again; each event keeps its id, so that receivers
    can tell. Commands never wait for the relay: while the broker is away the position stands still.
    """

    def __init__(
        self,
        store: EventStore,
        publisher: EventPublisher,
        readers: Readers,
        doorbell: Doorbell,
        outgoing: Callable[[RecordedEvent], Outgoing],
        on_advance: Callable[[str, int], None],
    ) -> None:
        self._store, self._publisher, self._readers, self._doorbell = store, publisher, readers, doorbell
        self._outgoing, self._on_advance = outgoing, on_advance

    async def run(self) -> None:
        """Runs until cancelled, while this process leads the relay."""
        await persistently(NAME, self._lead)

    async def _lead(self) -> None:
        await self._readers.ensure(NAME)
        async with self._readers.leadership(NAME):
            position = await self._readers.position(NAME)
            behind = False
            while True:
                head = await self._doorbell.wait(position, POLL_SECONDS)
                if head > position and not behind:
                    await asyncio.sleep(GATHER_SECONDS)
                events = await self._store.read(position, PAGE)
                behind = bool(events) and events[-1].position < head
                if not events:
                    continue
                await self._publisher.publish([self._outgoing(event) for event in events])
                position = events[-1].position
                await self._readers.advance(NAME, position)
                self._on_advance(NAME, position)
