"""Claims: ready jobs are granted by the statement that appends, under the append lock."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import asyncpg
from pydantic_core import to_json

from adapters.postgres.database import Connection
from adapters.postgres.group_commit import GroupCommit
from adapters.postgres.rows import BatchRows
from domain import job as job_domain
from domain import job_events
from domain.aggregate import Event
from domain.ports import ClaimRequest, Granted, GrantedJob, Metadata, RecordedEvent, StreamName

Lane = tuple[str, str]
# A claim's tenant, its queues, and the tenants of its pool.
Wish = tuple[str, tuple[str, ...], tuple[str, ...]]
EVERYBODY = ("*",)
# One claim's answer stays below every limit on message sizes on its way.
GRANT_BYTES = 1_000_000
# How many claims of the same queues one flush looks at; where the last of them gets something, another flush follows.
CLAIMS_AT_ONCE = 32

EXPIRE_NOW = """
UPDATE leases SET expires_at = clock_timestamp(), confirmed = false WHERE stream = ANY ($1::text[]) AND worker = $2
"""


@dataclass(slots=True, eq=False)
class _Claim:
    """`serving` is there while a flush is under way that may grant it something."""

    request: ClaimRequest
    done: asyncio.Future[list[GrantedJob]]
    serving: asyncio.Future[None] | None = None


@dataclass(slots=True)
class _Group:
    """The claims that look into the same lanes; `stirred` when something may be ready for them.

    Attributes:
        lanes: where they look; those of all tenants are named by their queues alone.
        pool: names the tenants and queues together where they are of several tenants.
    """

    lanes: frozenset[Lane]
    every: frozenset[str]
    pool: str | None
    claims: list[_Claim] = field(default_factory=list)
    stirred: bool = True

    @classmethod
    def of(cls, request: ClaimRequest) -> _Group:
        tenants = request.tenants or (request.tenant,)
        if tenants == EVERYBODY:
            return cls(frozenset(), frozenset(request.queues), _pool(request))
        lanes = frozenset((tenant, queue) for tenant in tenants for queue in request.queues)
        return cls(lanes, frozenset(), _pool(request) if request.tenants else None)

    def looks_into(self, lanes: set[Lane]) -> bool:
        return not self.lanes.isdisjoint(lanes) or (bool(self.every) and any(queue in self.every for _, queue in lanes))


def _pool(request: ClaimRequest) -> str:
    """Equal for claims of the same tenants and queues, in whatever order they name them."""
    names = to_json([sorted(request.tenants), sorted(request.queues)])
    return hashlib.blake2b(names, digest_size=12).hexdigest()


class Claims:
    """Holds the claims of this process; implements `adapters.postgres.group_commit.Claimants`.

    Args:
        grant_lease: seconds that a grant stays valid until its worker confirms it.
    """

    def __init__(self, commits: GroupCommit, grant_lease: float) -> None:
        self._commits = commits
        self._grant_lease = timedelta(seconds=grant_lease)
        self._groups: dict[Wish, _Group] = {}
        self._limited: set[Lane] = set()
        self._on_started: Callable[[StreamName, Event, int], None] = lambda stream, event, position: None

    def observe(self, on_started: Callable[[StreamName, Event, int], None]) -> None:
        """Tells `on_started` of each start and its position, after the commit."""
        self._on_started = on_started

    @property
    def held(self) -> int:
        """How many claims wait in this process."""
        return sum(len(group.claims) for group in self._groups.values())

    async def claim(self, request: ClaimRequest) -> Granted:
        """Waits for work and grants it; see `domain.ports.WorkQueue`."""
        arrived = time.monotonic()
        claim = _Claim(request, asyncio.get_running_loop().create_future())
        key = (request.tenant, request.queues, request.tenants)
        group = self._groups.get(key) or self._groups.setdefault(key, _Group.of(request))
        group.claims.append(claim)
        group.stirred = True
        self._commits.wake()
        try:
            if request.wait:
                await asyncio.wait({claim.done}, timeout=request.wait)
            else:
                await self._pass()
            if claim.serving is not None:
                await asyncio.wait({claim.serving})
            if not claim.done.done():
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

    def _forget(self, key: Wish, claim: _Claim) -> None:
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
            streams = [StreamName("job", job.tenant, job.job_id).text for job in done.result()]
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
                if (claim.request.tenant, claim.request.worker) != (tenant, worker) or claim.done.done():
                    continue
                if claim.serving is None:
                    claim.done.set_result([])
                else:
                    # The flush that serves it may have looked before the worker withdrew; the next one ends it.
                    group.stirred = True
                    self._commits.wake()

    def limit(self, lanes: set[Lane]) -> None:
        """These are the lanes with limits: a job that leaves one of them may make room for another."""
        self._limited = lanes

    def wants(self, lanes: set[Lane], left: set[Lane]) -> bool:
        if self._limited:
            lanes = lanes | (left & self._limited)
        for group in self._groups.values():
            if group.looks_into(lanes):
                group.stirred = True
        return any(group.stirred for group in self._groups.values())

    def rows(self) -> ClaimRows:
        """The claims that are to be served now, those of one group together."""
        claims: list[_Claim] = []
        pools: list[str | None] = []
        partly: list[tuple[_Group, int]] = []
        for group in self._groups.values():
            if group.stirred:
                group.stirred = False
                open_ = [claim for claim in group.claims if claim.serving is None and not claim.done.done()]
                claims += open_[:CLAIMS_AT_ONCE]
                pools += [group.pool] * (len(claims) - len(pools))
                if len(open_) > CLAIMS_AT_ONCE:
                    partly.append((group, len(claims) - 1))
        loop = asyncio.get_running_loop()
        for claim in claims:
            claim.serving = loop.create_future()
        rows = [
            (number, request.tenant, request.queues, request.slots, request.worker, request.tenants or None, pool)
            for number, (request, pool) in enumerate(zip((claim.request for claim in claims), pools, strict=True))
        ]
        return ClaimRows(self, claims, partly, [rows, self._grant_lease, GRANT_BYTES])

    def started(self, stream: StreamName, event: Event, position: int) -> None:
        self._on_started(stream, event, position)

    def look_again(self, groups: Iterable[_Group]) -> None:
        """A flush left out some claims of these groups that may find something, too."""
        for group in groups:
            group.stirred = True
            self._commits.wake()

    def failed(self) -> None:
        """A flush did not commit: whatever was ready still is. The flusher decides when it tries again."""
        for group in self._groups.values():
            group.stirred = True


class ClaimRows:
    """The claims of one flush.

    Attributes:
        parameters: of `append_and_grant`: the claims, the lease of a grant, and the most bytes for one claim.
    """

    def __init__(
        self, owner: Claims, claims: list[_Claim], partly: list[tuple[_Group, int]], parameters: list[Any]
    ) -> None:
        self._owner, self._claims, self._partly, self.parameters = owner, claims, partly, parameters

    def granted(self, flush: asyncpg.Record, rows: BatchRows) -> list[RecordedEvent]:
        """Hands out what the committed flush has granted; returns the starts as they stand in the log."""
        try:
            return self._handed_out(flush, rows)
        finally:
            self._release()

    def _handed_out(self, flush: asyncpg.Record, rows: BatchRows) -> list[RecordedEvent]:
        jobs: list[list[GrantedJob]] = [[] for _ in self._claims]
        recorded: list[RecordedEvent] = []
        base, at, first_id = flush["granted_base"], flush["granted_at"], len(rows.events)
        for number, (claim, text, tenant, job_id, version, attempt, task, *origin) in enumerate(flush["granted"]):
            stream = StreamName(job_domain.KIND, tenant, job_id)
            event = job_events.Started(text, version + 1, at, attempt, self._claims[claim].request.worker)
            company, correlation_id, traceparent = origin
            meta = Metadata(tenant, company, correlation_id, job_id, None, traceparent)
            position, event_id = base + number + 1, rows.event_id(first_id + number)
            recorded.append(RecordedEvent(position, stream, version + 1, event_id, event.routing_name, at, meta, event))
            self._owner.started(stream, event, position)
            jobs[claim].append(GrantedJob(job_id, attempt, task, tenant))
        stopped = set(flush["stopped"])
        for number, claim in enumerate(self._claims):
            if (jobs[number] or number in stopped) and not claim.done.done():
                claim.done.set_result(jobs[number])
        self._owner.look_again(group for group, last in self._partly if jobs[last])
        return recorded

    def failed(self) -> None:
        """The flush did not commit; nothing was granted."""
        self._release()
        self._owner.failed()

    def _release(self) -> None:
        for claim in self._claims:
            if claim.serving is not None:
                claim.serving.set_result(None)
                claim.serving = None
