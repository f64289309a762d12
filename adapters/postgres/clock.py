"""The database's time without asking for it each time."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import asyncpg


class DatabaseClock:
    """Implements `domain.ports.Clock`: the database's clock at the last look, moved on by this process's monotonic one.

    So that a process whose wall clock is wrong still writes and compares times like every other.
    """

    def __init__(self) -> None:
        self._at: datetime | None = None
        self._monotonic = 0.0

    async def look(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        """Reads the database's clock; called at start and every few seconds."""
        before = time.monotonic()
        at: datetime = await pool.fetchval("SELECT clock_timestamp()")
        after = time.monotonic()
        self._at, self._monotonic = at, (before + after) / 2

    def now(self) -> datetime:
        if self._at is None:
            raise RuntimeError("the clock has not looked at the database yet")
        return self._at + timedelta(seconds=time.monotonic() - self._monotonic)
