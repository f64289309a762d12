"""Waits until a reader has scanned a position: what makes reading one's own writes possible."""

from __future__ import annotations

import asyncio
import time

from adapters.postgres.readers import PostgresReaders

WAIT_SECONDS = 2.0
POLL_SECONDS = 0.02


class ReaderPositions:
    """Newest known positions: told by the readers of this process, looked up for those of others."""

    def __init__(self, readers: PostgresReaders) -> None:
        self._readers = readers
        self._known: dict[str, int] = {}
        self._advanced = asyncio.Event()

    def advanced(self, name: str, position: int) -> None:
        """A reader of this process has saved `position`."""
        if position > self._known.get(name, 0):
            self._known[name] = position
            self._advanced.set()
            self._advanced = asyncio.Event()

    def known(self) -> dict[str, int]:
        return dict(self._known)

    async def reached(self, name: str, position: int) -> int:
        """Waits, 2 s at most, until the reader has scanned `position`; returns how far it has got."""
        deadline = time.monotonic() + WAIT_SECONDS
        while self._known.get(name, 0) < position and time.monotonic() < deadline:
            advanced = self._advanced
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await advanced.wait()
            except TimeoutError:
                self.advanced(name, await self._readers.position(name))
        return self._known.get(name, 0)
