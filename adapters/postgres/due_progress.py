"""Which progress time has something to say about, by the database's clock."""

from __future__ import annotations

import asyncpg

from adapters.postgres.errors import translated

SILENT = "SELECT tenant, id FROM progress WHERE stalls_at <= clock_timestamp() ORDER BY stalls_at LIMIT $1"
EXPIRED = """
SELECT tenant, id FROM progress
 WHERE status = $1 AND status IN ('completed', 'failed', 'cancelled')
   AND updated_at < clock_timestamp() - make_interval(secs => $2)
 ORDER BY updated_at LIMIT $3
"""


class PostgresDueProgress:
    """Implements `domain.ports.DueProgress`."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    @translated
    async def silent(self, limit: int) -> list[tuple[str, str]]:
        return [(row["tenant"], row["id"]) for row in await self._pool.fetch(SILENT, limit)]

    @translated
    async def expired(self, status: str, age: float, limit: int) -> list[tuple[str, str]]:
        return [(row["tenant"], row["id"]) for row in await self._pool.fetch(EXPIRED, status, age, limit)]
