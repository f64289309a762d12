"""The work queue: claims, the leases that grants come with, and jobs that become due."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

import asyncpg
import structlog

from adapters.postgres.claims import Claims
from adapters.postgres.database import Connection
from adapters.postgres.errors import translated
from adapters.postgres.group_commit import GroupCommit
from domain import job as job_domain
from domain.aggregate import Event
from domain.ports import BatchCounts, ClaimRequest, Granted, LapsedLease, Orphan, StreamName, Unwanted

log = structlog.get_logger("leases")

RENEW = """
UPDATE leases l SET expires_at = clock_timestamp() + $4, confirmed = true, details = coalesce(r.details, l.details),
       details_at = CASE WHEN r.details IS NULL THEN l.details_at ELSE clock_timestamp() END
  FROM unnest($1::text[], $2::int[], $5::json[]) AS r(stream, attempt, details)
 WHERE l.stream = r.stream AND l.attempt = r.attempt AND l.worker = $3
RETURNING l.stream, l.attempt
"""
SEEN = """
INSERT INTO workers (tenant, worker, seen_at, queues, pool)
SELECT t.tenant, $2, clock_timestamp(), $3::text[], nullif($4::text, t.tenant) FROM unnest($1::text[]) AS t(tenant)
ON CONFLICT (tenant, worker) DO UPDATE
   SET seen_at = excluded.seen_at, queues = coalesce(excluded.queues, workers.queues)
 WHERE workers.pool IS NOT DISTINCT FROM excluded.pool
"""
STOP = """
WITH gone AS (
    INSERT INTO workers (tenant, worker, seen_at, stopped) VALUES ($1, $2, clock_timestamp(), true)
    ON CONFLICT (tenant, worker) DO UPDATE SET stopped = true RETURNING worker)
DELETE FROM workers w USING gone g WHERE w.worker = g.worker AND w.pool = $1
"""
LAPSED = """
SELECT tenant, job_id, attempt, worker, confirmed FROM leases
 WHERE expires_at < clock_timestamp()
   AND EXISTS (SELECT FROM lease_watch WHERE beat_at > clock_timestamp() - $2::interval)
 ORDER BY expires_at LIMIT $1
"""
BEAT = """
UPDATE lease_watch w SET beat_at = clock_timestamp() FROM lease_watch old
RETURNING clock_timestamp() - old.beat_at AS gap
"""
EXTEND_ALL = """
UPDATE leases
   SET expires_at = greatest(expires_at,
                             clock_timestamp() + CASE WHEN confirmed THEN $1::interval ELSE $2::interval END)
"""
ORPHANS = """
SELECT p.tenant, p.job_id, min(d.parent_id) AS parent_id
  FROM dependencies d JOIN dependents p ON p.stream = d.child
 WHERE d.failed GROUP BY p.tenant, p.job_id LIMIT $1
"""
BATCHES = """
SELECT tenant, id AS batch_id, total, completed, failed, cancelled, is_complete FROM batches
 WHERE is_sealed AND open = 0 AND (NOT is_complete OR (completed = total AND NOT is_success AND NOT is_cancelled))
 LIMIT $1
"""
UNWANTED = """
SELECT m.tenant, m.job_id, b.id AS batch_id FROM batches b JOIN batch_members m ON m.batch = b.stream
 WHERE b.is_cancelled AND b.open > 0 AND NOT m.failed LIMIT $1
"""
MOVE_DUE = "SELECT move_due($1)"
MOVED_AT_ONCE = 1_000
NEXT_DUE = """
SELECT extract(epoch FROM least(
    (SELECT min(due_at) FROM waiting WHERE due_at < 'infinity'), (SELECT min(due_at) FROM queue_slots),
    (SELECT now() FROM queue_rules WHERE settling > 0 LIMIT 1)
) - clock_timestamp())::float8
"""
TIDY = "SELECT tidy_queues()"
LIMITED = "SELECT tenant, queue FROM queue_rules WHERE limited"


class PostgresWorkQueue:
    """Implements `domain.ports.WorkQueue`. Whatever changes a lease or a waiting job runs under the append lock.

    Args:
        lease: seconds that a confirmed attempt stays valid without renewal.
        grant_lease: seconds that a grant stays valid until its worker confirms it.
        outage: seconds without a beat after which leases are taken to have been unrenewable.
    """

    def __init__(
        self,
        commits: GroupCommit,
        pool: asyncpg.Pool[asyncpg.Record],
        *,
        lease: float = 30.0,
        grant_lease: float = 5.0,
        outage: float = 3.0,
    ) -> None:
        self._commits, self._pool = commits, pool
        self._lease, self._grant_lease = timedelta(seconds=lease), timedelta(seconds=grant_lease)
        self._outage = timedelta(seconds=outage)
        self._seen: dict[tuple[str, str], float] = {}
        self.claims = Claims(commits, grant_lease)

    def observe(self, on_started: Callable[[StreamName, Event, int], None]) -> None:
        """Tells `on_started` of each start and its position, after the commit."""
        self.claims.observe(on_started)

    def stir(self) -> None:
        """Something may have become ready, in whatever lane: held claims look again."""
        self.claims.stir()

    @translated
    async def look(self) -> None:
        """Held claims look again, and know from now on which lanes have limits."""
        self.claims.limit({(row["tenant"], row["queue"]) for row in await self._pool.fetch(LIMITED)})
        self.claims.stir()

    @translated
    async def claim(self, request: ClaimRequest) -> Granted:
        await self._note_worker(request.tenant, request.worker, request.queues, request.tenants)
        return await self.claims.claim(request)

    @translated
    async def withdraw(self, tenant: str, worker: str) -> None:
        await self._pool.execute(STOP, tenant, worker)
        self.claims.withdraw(tenant, worker)

    @translated
    async def renew(
        self, tenant: str, worker: str, attempts: Mapping[tuple[str, int], str | None]
    ) -> list[tuple[str, int]]:
        streams = {StreamName(job_domain.KIND, tenant, job_id).text: (job_id, attempt) for job_id, attempt in attempts}

        async def run(connection: Connection) -> list[asyncpg.Record]:
            return await connection.fetch(
                RENEW,
                list(streams),
                [attempt for _, attempt in streams.values()],
                worker,
                self._lease,
                [attempts[pair] for pair in streams.values()],
            )

        valid = {row["stream"] for row in await self._commits.perform(run)} if streams else set()
        await self._note_worker(tenant, worker)
        return [pair for stream, pair in streams.items() if stream not in valid]

    @translated
    async def beat(self) -> None:
        async def run(connection: Connection) -> None:
            gap = await connection.fetchval(BEAT)
            if gap > self._outage:
                await connection.execute(EXTEND_ALL, self._lease, self._grant_lease)
                log.info("leases begin anew", action="leases_extended", gap=gap.total_seconds())

        await self._commits.perform(run)

    @translated
    async def lapsed(self, limit: int) -> list[LapsedLease]:
        async def run(connection: Connection) -> list[asyncpg.Record]:
            return await connection.fetch(LAPSED, limit, self._outage)

        return [LapsedLease(**row) for row in await self._commits.perform(run)]

    @translated
    async def orphans(self, limit: int) -> list[Orphan]:
        return [Orphan(**row) for row in await self._pool.fetch(ORPHANS, limit)]

    @translated
    async def batches(self, limit: int) -> list[BatchCounts]:
        return [BatchCounts(**row) for row in await self._pool.fetch(BATCHES, limit)]

    @translated
    async def unwanted(self, limit: int) -> list[Unwanted]:
        return [Unwanted(**row) for row in await self._pool.fetch(UNWANTED, limit)]

    @translated
    async def move_due(self) -> float | None:
        due = await self._pool.fetchval(NEXT_DUE)
        if due is not None and due <= 0:

            async def run(connection: Connection) -> None:
                await connection.execute(MOVE_DUE, MOVED_AT_ONCE)

            await self._commits.perform(run)
            self.stir()
            due = await self._pool.fetchval(NEXT_DUE)
        return None if due is None else max(0.0, float(due))

    @translated
    async def tidy(self) -> None:
        """Forgets keys that have had no work for a while."""
        await self._commits.perform(lambda connection: connection.execute(TIDY))

    async def _note_worker(
        self, tenant: str, worker: str, queues: Sequence[str] | None = None, pool: Sequence[str] = ()
    ) -> None:
        """Workers are counted by when they were last seen; noting each of them every few seconds is enough."""
        now = time.monotonic()
        if now - self._seen.get((tenant, worker), -60.0) > self._lease.total_seconds() / 3:
            if len(self._seen) > 10_000:
                self._seen.clear()
            self._seen[tenant, worker] = now
            await self._pool.execute(SEEN, sorted({tenant, *pool}), worker, queues, tenant)
