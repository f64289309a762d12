"""Which parts of results are in the storage, in an operational table."""

from __future__ import annotations

import asyncpg

from adapters.postgres.errors import translated
from domain.job_events import Removed
from domain.ports import AttemptParts

NOTE = """
INSERT INTO result_parts (tenant, job_id, attempt, sha256, size) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (tenant, job_id, attempt, sha256) DO UPDATE SET look_at = clock_timestamp()
"""
SIZE = "SELECT sum(size)::bigint FROM result_parts WHERE tenant = $1 AND job_id = $2 AND attempt = $3"
# Who was removed since the last look is looked at now. Positions are visible in their order, so none is passed over.
REMOVED = """
WITH gone AS (
    SELECT tenant, subject, notification_id FROM stored_events
     WHERE event_type IN ('job.removed', 'archive.streams_archived') AND event_type = $1
       AND notification_id > (SELECT removals FROM result_state) ORDER BY notification_id LIMIT $2),
told AS (
    UPDATE result_parts p SET look_at = '-infinity' FROM gone g WHERE p.tenant = g.tenant AND p.job_id = g.subject)
UPDATE result_state SET removals = (SELECT max(notification_id) FROM gone) WHERE EXISTS (SELECT FROM gone)
"""
DUE = """
WITH due AS (
    SELECT tenant, job_id, attempt FROM result_parts WHERE look_at < clock_timestamp() - make_interval(secs => $1)
     GROUP BY 1, 2, 3 ORDER BY min(look_at) LIMIT $2)
SELECT p.tenant, p.job_id, p.attempt, array_agg(p.sha256 ORDER BY p.sha256) AS hashes,
       array_agg(p.size ORDER BY p.sha256) AS sizes
  FROM result_parts p JOIN due USING (tenant, job_id, attempt) GROUP BY 1, 2, 3
"""
LOOK_LATER = """
UPDATE result_parts SET look_at = clock_timestamp() + make_interval(secs => $5)
 WHERE tenant = $1 AND job_id = $2 AND attempt = $3 AND sha256 = ANY ($4::text[])
"""
FORGET = "DELETE FROM result_parts WHERE tenant = $1 AND job_id = $2 AND attempt = $3 AND sha256 = ANY ($4::text[])"
REMOVALS = 10_000


class PostgresResultParts:
    """Implements `domain.ports.ResultParts` on the table `result_parts`."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    @translated
    async def note(self, tenant: str, job_id: str, attempt: int, sha256: str, size: int) -> int:
        await self._pool.execute(NOTE, tenant, job_id, attempt, sha256, size)
        return int(await self._pool.fetchval(SIZE, tenant, job_id, attempt) or 0)

    @translated
    async def due(self, age: float, limit: int) -> list[AttemptParts]:
        await self._pool.execute(REMOVED, Removed.TOPIC, REMOVALS)
        return [
            AttemptParts(
                row["tenant"], row["job_id"], row["attempt"], tuple(zip(row["hashes"], row["sizes"], strict=True))
            )
            for row in await self._pool.fetch(DUE, age, limit)
        ]

    @translated
    async def look_later(self, attempt: AttemptParts, seconds: float) -> None:
        await self._pool.execute(LOOK_LATER, *_key(attempt), seconds)

    @translated
    async def forget(self, attempt: AttemptParts) -> None:
        await self._pool.execute(FORGET, *_key(attempt))


def _key(attempt: AttemptParts) -> tuple[str, str, int, list[str]]:
    return attempt.tenant, attempt.job_id, attempt.attempt, [sha256 for sha256, _ in attempt.parts]
