"""Answers the job queries from the read model, never older than what the caller has been told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import asyncpg

from adapters.postgres.errors import translated
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.log_queries import NoSuchAggregate
from adapters.postgres.paging import position_before
from adapters.postgres.positions import ReaderPositions
from domain.job import KIND
from domain.ports import StreamName
from handlers.routes import QueryRoute
from millrace.contracts import job as contract
from millrace.contracts import why as why_contract
from millrace.contracts.job_graph import GetGraph
from millrace.contracts.wire import Context
from projections.job_links import job_graph
from projections.jobs_queries import listed_jobs, one_current_job, one_job
from projections.why_queries import standing_of

READER = "jobs"
UNFINISHED = ("pending", "delayed", "processing")


class JobQueries:
    """Answers `job.get`, `job.list`, `job.graph` and `job.why`."""

    def __init__(
        self, pool: asyncpg.Pool[asyncpg.Record], store: PostgresEventStore, positions: ReaderPositions, lease: float
    ) -> None:
        self._pool, self._store, self._positions, self._lease = pool, store, positions, lease

    def routes(self) -> dict[str, QueryRoute]:
        return {
            "job.get": QueryRoute(contract.GetJob, self._get, READER),
            "job.list": QueryRoute(contract.ListJobs, self._list, READER),
            "job.graph": QueryRoute(GetGraph, self._graph, READER),
            "job.why": QueryRoute(why_contract.WhyWaiting, self._why, READER),
        }

    @translated
    async def _get(self, query: contract.GetJob, context: Context) -> dict[str, Any]:
        return {"job": await self._one(context.tenant, query.job_id)}

    @translated
    async def _why(self, query: why_contract.WhyWaiting, context: Context) -> dict[str, Any]:
        job = await self._one(context.tenant, query.job_id)
        stream = StreamName(KIND, context.tenant, query.job_id).text
        async with self._pool.acquire() as connection:
            standing = await standing_of(connection, context.tenant, stream, timedelta(seconds=self._lease))
        if standing is None and job["status"] in UNFINISHED:
            # It ended or moved since; its row in the read model is the older of the two.
            job = await self._one(context.tenant, query.job_id)
        return why_contract.why(job, standing).model_dump()

    async def _one(self, tenant: str, job_id: str) -> dict[str, Any]:
        """A job as of its newest event.

        Raises:
            NoSuchAggregate: the tenant has no such job, or it was removed.
            BehindPosition: the read model has not come to its newest event in time.
        """
        async with self._pool.acquire() as connection:
            current = await one_current_job(connection, tenant, job_id, StreamName(KIND, tenant, job_id).text)
        if current is not None:
            return current
        await self._caught_up(tenant, job_id)
        async with self._pool.acquire() as connection:
            job = await one_job(connection, tenant, job_id)
        if job is None:
            raise NoSuchAggregate(KIND, job_id)
        return job

    @translated
    async def _graph(self, query: GetGraph, context: Context) -> dict[str, Any]:
        await self._caught_up(context.tenant, query.job_id)
        async with self._pool.acquire() as connection:
            return await job_graph(connection, context.tenant, query.job_id, query.limit)

    async def _caught_up(self, tenant: str, job_id: str) -> None:
        """Waits until the read model has the job as it is.

        Raises:
            NoSuchAggregate: there is no such job.
            BehindPosition: it took too long.
        """
        last = await self._store.last_position(StreamName(KIND, tenant, job_id))
        if last is None:
            raise NoSuchAggregate(KIND, job_id)
        await self._positions.must_reach(READER, last)

    @translated
    async def _list(self, query: contract.ListJobs, context: Context) -> dict[str, Any]:
        before = position_before(query.cursor)
        async with self._pool.acquire() as connection:
            jobs, following = await listed_jobs(connection, context.tenant, query, before)
        return {"jobs": jobs, "cursor": None if following is None else str(following)}
