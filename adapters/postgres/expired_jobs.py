"""Finds jobs in the read model that ended long ago."""

from __future__ import annotations

import asyncpg

from adapters.postgres.errors import translated

# The oldest of each tenant are looked at, so that one sweep costs the same however many there are. What is written down
# last about an ended job, its end or a repair, tells its age. A failed job that others wait for can still be retried.
EXPIRED = """
SELECT old.tenant, old.id
  FROM (SELECT DISTINCT tenant FROM job_counts WHERE status = $1) t
 CROSS JOIN LATERAL (SELECT j.tenant, j.id, j.version FROM jobs j
                      WHERE j.tenant = t.tenant AND j.status = $1
                        AND NOT EXISTS (SELECT FROM dependencies d WHERE d.parent = 'job:' || j.tenant || ':' || j.id)
                      ORDER BY j.position LIMIT $3) old
  JOIN stored_events e ON e.originator_id = 'job:' || old.tenant || ':' || old.id AND e.originator_version = old.version
 WHERE e.recorded_at < clock_timestamp() - make_interval(secs => $2)
 LIMIT $3
"""


class PostgresExpiredJobs:
    """Implements `domain.ports.ExpiredJobs`."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    @translated
    async def find(self, status: str, age: float, limit: int) -> list[tuple[str, str]]:
        return [(row["tenant"], row["id"]) for row in await self._pool.fetch(EXPIRED, status, age, limit)]
