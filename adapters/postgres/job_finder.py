"""Finds jobs in the read model for those who change many at once."""

from __future__ import annotations

from collections.abc import Mapping

import asyncpg

from adapters.postgres.errors import translated
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.job_queries import READER
from adapters.postgres.positions import ReaderPositions
from domain.batch import KIND as BATCH
from domain.ports import FoundJob, StreamName
from millrace.contracts.job import JobStatus, words_of
from projections.job_filters import FAILED_WITH, shown_as

CONDITIONS = {
    "name": "name = {}",
    "queue": "queue = {}",
    "among": "status = ANY ({}::text[])",
    "dead_lettered": "dead_lettered = {}",
    "created_after": "created_at >= {}",
    "created_before": "created_at < {}",
    "error": FAILED_WITH,
    "fingerprint": "id IN (SELECT d.id FROM dead_letters d WHERE d.tenant = jobs.tenant AND d.fingerprint = {})",
    "failed_after": "failed_at >= {}",
    "failed_before": "failed_at < {}",
    # Of a batch those jobs are kept that have not ended, and the dead letters: the ones that can be changed.
    "batch": "id IN (SELECT job_id FROM batch_members WHERE batch = {})",
}


class PostgresJobFinder:
    """Implements `domain.ports.JobFinder`."""

    def __init__(
        self, pool: asyncpg.Pool[asyncpg.Record], store: PostgresEventStore, positions: ReaderPositions
    ) -> None:
        self._pool, self._store, self._positions = pool, store, positions

    @translated
    async def newest(self) -> int:
        return await self._positions.reached_head(READER, self._store)

    @translated
    async def find(
        self, tenant: str, filters: Mapping[str, object], after: int, until: int, limit: int
    ) -> list[FoundJob]:
        where, values = _where(tenant, filters, after, until)
        rows = await self._pool.fetch(
            f"SELECT id, position FROM jobs WHERE {where} ORDER BY position LIMIT ${len(values) + 1}", *values, limit
        )
        return [FoundJob(row["id"], row["position"]) for row in rows]

    @translated
    async def count(self, tenant: str, filters: Mapping[str, object], after: int, until: int) -> int:
        where, values = _where(tenant, filters, after, until)
        return int(await self._pool.fetchval(f"SELECT count(*) FROM jobs WHERE {where}", *values))


def _where(tenant: str, filters: Mapping[str, object], after: int, until: int) -> tuple[str, list[object]]:
    conditions, values = ["tenant = $1", "position > $2", "position <= $3"], [tenant, after, until]
    for name, value in filters.items():
        match name:
            case "status":
                conditions.append(shown_as(JobStatus(str(value))))
                continue
            case "batch":
                value = StreamName(BATCH, tenant, str(value)).text
            case "error":
                value = " ".join(words_of(str(value)))
        values.append(value)
        conditions.append(CONDITIONS[name].format(f"${len(values)}"))
    return " AND ".join(conditions), values
