"""Removes what operational tables have kept for long enough, however many rows that are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

import asyncpg

from adapters.postgres.errors import translated

PAGE = 5_000
CUTOFF = "SELECT clock_timestamp() - make_interval(secs => $1)"
OLD = "SELECT ctid FROM {table} WHERE recorded_at < $1"
# The place of a row that went meanwhile may have a new one.
DELETE = "DELETE FROM {table} WHERE ctid = ANY ($1::tid[]) AND recorded_at < $2"

KeptRows = Literal["inbox", "job_logs"]


class OldRows:
    """Rows by when they were recorded. Several processes may remove them at once.

    Args:
        pool: deletes, some rows in a statement: one that takes long is ended, and whoever repeats an old command would
            have to wait for it.
        connect: a connection of its own, which goes through the table once. To look for the next rows anew after each
            deletion would go past all that were deleted before.
        page: rows that one statement deletes.
    """

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        connect: Callable[[], Awaitable[asyncpg.Connection[asyncpg.Record]]],
        page: int = PAGE,
    ) -> None:
        self._pool, self._connect, self._page = pool, connect, page

    @translated
    async def remove(self, table: KeptRows, seconds: float) -> int:
        """Removes what is older; returns how many rows.

        Raises:
            StoreUnavailable: the database does not answer; what is left goes the next time.
        """
        removed = 0
        connection = await self._connect()
        try:
            async with connection.transaction(readonly=True):
                cutoff = await connection.fetchval(CUTOFF, seconds)
                cursor = await connection.cursor(OLD.format(table=table), cutoff)
                while rows := await cursor.fetch(self._page):
                    places = [row["ctid"] for row in rows]
                    status = await self._pool.execute(DELETE.format(table=table), places, cutoff)
                    removed += int(status.rpartition(" ")[2])
        finally:
            connection.terminate()
        return removed
