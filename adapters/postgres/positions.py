"""Waits until a reader has scanned a position: what makes reading one's own writes possible."""

from __future__ import annotations

import asyncio
import time

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.readers import PostgresReaders
from handlers.service import BehindPosition

WAIT_SECONDS = 2.0
POLL_SECONDS = 0.02


class ReaderPositions:
    """Newest known positions: told by the readers of this process, looked up for those of others."""

    def __init__(self, readers: PostgresReaders) -> None:
        self._readers = readers
        self._known: dict[str, int] = {}
        self._advanced = asyncio.Event()
        self._remembering = True

    def advanced(self, name: str, position: int) -> None:
        """A reader of this process has saved `position`."""
        if self._remembering and position > self._known.get(name, 0):
            self._known[name] = position
            self._advanced.set()
            self._advanced = asyncio.Event()

    def trust(self, connected: bool) -> None:
        """Nothing known from before outlives a lost connection: readers do not wait for the disk, so a server that has
        crashed may have forgotten their newest positions, and the rows with them. Until one stands again, each question
        is put to the database."""
        self._known.clear()
        self._remembering = connected

    def known(self) -> dict[str, int]:
        return dict(self._known)

    async def reached(self, name: str, position: int) -> int:
        """Waits, 2 s at most, until the reader has scanned `position`; returns how far it has got."""
        deadline = time.monotonic() + WAIT_SECONDS
        reached = self._known.get(name, 0)
        while reached < position and time.monotonic() < deadline:
            advanced = self._advanced
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await advanced.wait()
                reached = self._known.get(name, 0)
            except TimeoutError:
                reached = await self._readers.position(name)
                self.advanced(name, reached)
        return reached

    async def must_reach(self, name: str, position: int) -> None:
        """Waits, 2 s at most, until the reader has scanned `position`.

        Raises:
            BehindPosition: it has not got so far.
        """
        reached = await self.reached(name, position)
        if reached < position:
            raise BehindPosition(name, str(position), str(reached))

    async def reached_head(self, name: str, store: PostgresEventStore) -> int:
        """The head of the log, once the reader has scanned it: whatever was recorded before can be found.

        Raises:
            BehindPosition: it has not got so far within 2 s.
        """
        head = await store.head()
        await self.must_reach(name, head)
        return head
