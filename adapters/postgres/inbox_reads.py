"""Finds in the read model what was read together with a whole inbox."""

from __future__ import annotations

from datetime import datetime

import asyncpg

from adapters.postgres.errors import translated

# The projection gives the time of the inbox's event to each of them, and it stays.
READ_AT = """
SELECT id, position FROM notifications
 WHERE tenant = $1 AND user_id = $2 AND read_at = $3 AND position > $4 ORDER BY position LIMIT $5
"""


class PostgresInboxReads:
    """Implements `domain.deliveries.InboxReads`."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    @translated
    async def read_at(self, tenant: str, user_id: str, at: datetime, after: int, limit: int) -> list[tuple[str, int]]:
        rows = await self._pool.fetch(READ_AT, tenant, user_id, at, after, limit)
        return [(row["id"], row["position"]) for row in rows]
