"""Which progress time has something to say about, by the database's clock."""

from __future__ import annotations

import asyncpg

from adapters.postgres.errors import translated
from domain.ports import LeftBehind

SILENT = "SELECT tenant, id FROM progress WHERE stalls_at <= clock_timestamp() ORDER BY stalls_at LIMIT $1"
EXPIRED = """
SELECT tenant, id FROM progress
 WHERE status = $1 AND status IN ('completed', 'failed', 'cancelled')
   AND updated_at < clock_timestamp() - make_interval(secs => $2)
 ORDER BY updated_at LIMIT $3
"""
LEFT_BEHIND = """
SELECT p.tenant, p.id, j.id AS job_id
  FROM progress p JOIN jobs j ON j.tenant = p.tenant AND j.id = p.metadata ->> 'job_id'
 WHERE p.status IN ('pending', 'processing') AND p.metadata ->> 'job_id' IS NOT NULL
   AND (p.id = j.id OR starts_with(p.id, j.id || '.'))
   AND j.status IN ('completed', 'failed', 'cancelled')
 LIMIT $1
"""


class PostgresDueProgress:
    """Implements `domain.ports.DueProgress`."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    @translated
    async def silent(self, limit: int) -> list[tuple[str, str]]:
        return [(row["tenant"], row["id"]) for row in await self._pool.fetch(SILENT, limit)]

    @translated
    async def left_behind(self, limit: int) -> list[LeftBehind]:
        return [LeftBehind(**row) for row in await self._pool.fetch(LEFT_BEHIND, limit)]

    @translated
    async def expired(self, status: str, age: float, limit: int) -> list[tuple[str, str]]:
        return [(row["tenant"], row["id"]) for row in await self._pool.fetch(EXPIRED, status, age, limit)]
