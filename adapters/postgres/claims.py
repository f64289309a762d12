"""Claims: ready jobs are granted inside the flusher's own transaction, under the append lock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from eventsourcing.persistence import StoredEvent
from pydantic_core import from_json

from adapters.postgres.database import Connection
from adapters.postgres.group_commit import GroupCommit
from adapters.postgres.rows import APPEND_BATCH, BatchRows
from domain import job as job_domain
from domain.aggregate import Event
from domain.ports import Append, ClaimRequest, Granted, GrantedJob, Metadata, StreamName

Lane = tuple[str, str]
# A claim that was held for longer may be that of a worker which has stopped since.
LONG_HELD = 0.5
# One claim's answer stays below every limit on message sizes on its way.
GRANT_BYTES = 1_000_000

PICK = """
WITH heads AS (
    SELECT head.*
      FROM unnest($2::text[]) AS q(queue)
     CROSS JOIN LATERAL (SELECT stream, rank, position, octet_length(task) AS size FROM ready
                          WHERE tenant = $1 AND queue = q.queue ORDER BY rank, position LIMIT $3) AS head
     ORDER BY head.rank, head.position LIMIT $3),
sized AS (
    SELECT stream, sum(size) OVER (ORDER BY rank, position) - size AS before FROM heads),
picked AS (
    DELETE FROM ready WHERE stream IN (SELECT stream FROM sized WHERE before < $6)
    RETURNING stream, tenant, job_id, rank, position, version, attempt, task),
leased AS (
    INSERT INTO leases (stream, tenant, job_id, attempt, worker, expires_at)
    SELECT stream, tenant, job_id, attempt, $4, clock_timestamp() + $5 FROM picked)
SELECT stream, tenant, job_id, version, attempt, task, clock_timestamp() AS now FROM picked ORDER BY rank, position
"""
STOPPED = "SELECT worker FROM workers WHERE stopped AND tenant = $1 AND worker = ANY ($2::text[])"
EXPIRE_NOW = """
UPDATE leases SET expires_at = clock_timestamp(), confirmed = false WHERE stream = ANY ($1::text[]) AND worker = $2
"""


@dataclass(slots=True, eq=False)
class _Claim:
    request: ClaimRequest
    done: asyncio.Future[list[GrantedJob]]
    arrived: float
    picked: bool = False


@dataclass(slots=True)
class _Group:
    """The claims that look into the same queues of one tenant; `stirred` when something may be ready for them."""

    lanes: frozenset[Lane]
    claims: list[_Claim] = field(default_factory=list)
    stirred: bool = True


class Claims:
    """Holds the claims of this process, and takes part in every transaction of the flusher to grant them jobs.

    Args:
        encode: an event as it is stored.
        grant_lease: seconds that a grant stays valid until its worker confirms it.
    """

    def __init__(
        self,
        commits: GroupCommit,
        encode: Callable[[Any], StoredEvent],
        grant_lease: float,
    ) -> None:
        self._commits, self._encode = commits, encode
        self._grant_lease = timedelta(seconds=grant_lease)
        self._groups: dict[tuple[str, tuple[str, ...]], _Group] = {}
        self._running: list[tuple[_Claim, list[GrantedJob]]] = []
        self._started: list[tuple[StreamName, Event]] = []
        self._on_started: Callable[[StreamName, Event, int], None] = lambda stream, event, position: None

    def observe(self, on_started: Callable[[StreamName, Event, int], None]) -> None:
        """Tells `on_started` of each start and its position, after the commit."""
        self._on_started = on_started

    async def claim(self, request: ClaimRequest) -> Granted:
        """Waits for work and grants it; see `domain.ports.WorkQueue`."""
        arrived = time.monotonic()
        claim = _Claim(request, asyncio.get_running_loop().create_future(), arrived)
        key = (request.tenant, request.queues)
        lanes = frozenset((request.tenant, queue) for queue in request.queues)
        group = self._groups.setdefault(key, _Group(lanes))
        group.claims.append(claim)
        group.stirred = True
        self._commits.wake()
        try:
            if request.wait:
                await asyncio.wait({claim.done}, timeout=request.wait)
            else:
                await self._pass()
            if claim.picked:
                await claim.done
            else:
                self._abandon(claim)
        except asyncio.CancelledError:
            self._abandon(claim)
            raise
        finally:
            self._forget(key, claim)
        jobs = claim.done.result() if claim.done.done() else []
        return Granted(tuple(jobs), time.monotonic() - arrived)

    async def _pass(self) -> None:
        """Waits for one transaction: a claim that does not wait sees one whole."""

        async def nothing(_: Connection) -> None:
            return None

        await self._commits.perform(nothing)

    def _forget(self, key: tuple[str, tuple[str, ...]], claim: _Claim) -> None:
        group = self._groups.get(key)
        if group is not None:
            if claim in group.claims:
                group.claims.remove(claim)
            if not group.claims:
                del self._groups[key]

    def _abandon(self, claim: _Claim) -> None:
        """Nobody waits for the grant any more: what was granted, or is being granted now, lapses at once and is
        recorded as returned."""

        def expire(done: asyncio.Future[list[GrantedJob]]) -> None:
            if done.cancelled() or done.exception() is not None or not done.result():
                return
            streams = [StreamName("job", claim.request.tenant, job.job_id).text for job in done.result()]
            worker = claim.request.worker

            async def run(connection: Connection) -> None:
                await connection.execute(EXPIRE_NOW, streams, worker)

            asyncio.ensure_future(self._commits.perform(run)).add_done_callback(lambda task: task.exception())

        claim.done.add_done_callback(expire)

    def stir(self) -> None:
        """Something may have become ready, in whatever lane: another process rang, or jobs came due."""
        if self._groups:
            for group in self._groups.values():
                group.stirred = True
            self._commits.wake()

    def withdraw(self, tenant: str, worker: str) -> None:
        """Ends the worker's claims that this process holds."""
        for group in self._groups.values():
            for claim in group.claims:
                mine = (claim.request.tenant, claim.request.worker) == (tenant, worker)
                if mine and not claim.picked and not claim.done.done():
                    claim.done.set_result([])

    def wants(self, lanes: set[Lane]) -> bool:
        for group in self._groups.values():
            if not group.lanes.isdisjoint(lanes):
                group.stirred = True
        return any(group.stirred for group in self._groups.values())

    async def run(self, connection: Connection) -> Callable[[], None]:
        rows = BatchRows()
        for group in list(self._groups.values()):
            if group.stirred:
                await self._grant(connection, group, rows)
        written = await connection.fetchrow(APPEND_BATCH, *rows.parameters()) if rows.events else None
        granted, self._running = self._running, []
        started, self._started = self._started, []

        def after_commit() -> None:
            if written is not None:
                for offset, (stream, event) in enumerate(started, 1):
                    self._on_started(stream, event, written["base"] + offset)
                self._commits.committed(rows, written["base"], written["at"])
            for claim, jobs in granted:
                if not claim.done.done():
                    claim.done.set_result(jobs)

        return after_commit

    async def _grant(self, connection: Connection, group: _Group, rows: BatchRows) -> None:
        group.stirred = False
        await self._end_stopped(connection, group)
        for claim in tuple(group.claims):
            if claim.picked or claim.done.done() or claim not in group.claims:
                continue
            request = claim.request
            picked = await connection.fetch(
                PICK,
                request.tenant,
                request.queues,
                request.slots,
                request.worker,
                self._grant_lease,
                GRANT_BYTES,
            )
            if not picked:
                return
            jobs = []
            for row in picked:
                event = job_domain.Started(
                    row["stream"], row["version"] + 1, row["now"], row["attempt"], request.worker
                )
                task = from_json(row["task"])
                meta = Metadata(
                    row["tenant"], task["company"], task["correlation_id"], row["job_id"], None, task["traceparent"]
                )
                stream = StreamName(job_domain.KIND, row["tenant"], row["job_id"])
                self._started.append((stream, event))
                rows.add(Append(stream, row["version"], (event,), meta), (self._encode(event),))
                jobs.append(GrantedJob(row["job_id"], row["attempt"], row["task"]))
            claim.picked = True
            self._running.append((claim, jobs))

    async def _end_stopped(self, connection: Connection, group: _Group) -> None:
        """Ends the held claims of workers that have withdrawn; a claim that has just come needs no such look."""
        long_held = time.monotonic() - LONG_HELD
        old = [claim for claim in group.claims if claim.arrived < long_held and not claim.done.done()]
        if not old:
            return
        tenant = old[0].request.tenant
        rows = await connection.fetch(STOPPED, tenant, [claim.request.worker for claim in old])
        stopped = {row["worker"] for row in rows}
        for claim in old:
            if claim.request.worker in stopped:
                claim.done.set_result([])

    def failed(self) -> None:
        for claim, _ in self._running:
            if not claim.done.done():
                claim.done.set_result([])
        self._running, self._started = [], []
        for group in self._groups.values():
            group.stirred = True
