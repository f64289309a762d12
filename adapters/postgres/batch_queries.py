"""Answers the batch queries from the inline table, which is never behind."""

from __future__ import annotations

from typing import Any

import asyncpg

from adapters.postgres.errors import translated
from adapters.postgres.log_queries import NoSuchAggregate
from adapters.postgres.paging import position_before
from domain.batch import KIND
from domain.ports import StreamName
from handlers.routes import QueryRoute
from millrace.contracts import batch as contract
from millrace.contracts.wire import Context

COLUMNS = """id, name, total, open, completed, failed, cancelled, is_sealed, is_cancelled, is_complete, is_success,
       created_at, position"""
ONE = f"SELECT {COLUMNS} FROM batches WHERE stream = $1"
PAGE = f"""
SELECT {COLUMNS} FROM batches
 WHERE tenant = $1 AND position < $2 AND ($3::text IS NULL OR name = $3)
   AND ($4::boolean IS NULL OR is_complete = $4)
 ORDER BY position DESC LIMIT $5
"""
LAST = 9_223_372_036_854_775_807


class BatchQueries:
    """Answers `batch.get` and `batch.list`."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    def routes(self) -> dict[str, QueryRoute]:
        return {
            "batch.get": QueryRoute(contract.GetBatch, self._get),
            "batch.list": QueryRoute(contract.ListBatches, self._list),
        }

    @translated
    async def _get(self, query: contract.GetBatch, context: Context) -> dict[str, Any]:
        stream = StreamName(KIND, context.tenant, query.batch_id).text
        row = await self._pool.fetchrow(ONE, stream)
        if row is None:
            raise NoSuchAggregate(KIND, query.batch_id)
        return {"batch": _told(row)}

    @translated
    async def _list(self, query: contract.ListBatches, context: Context) -> dict[str, Any]:
        before = position_before(query.cursor)
        rows = await self._pool.fetch(
            PAGE, context.tenant, LAST if before is None else before, query.name, query.is_complete, query.limit + 1
        )
        page = rows[: query.limit]
        cursor = str(page[-1]["position"]) if len(rows) > query.limit else None
        return {"batches": [_told(row) for row in page], "cursor": cursor}


def _told(row: asyncpg.Record) -> dict[str, Any]:
    told = {name: value for name, value in row.items() if name != "position"}
    return told | {"progress": (told["total"] - told["open"]) / told["total"] if told["total"] else 0.0}
