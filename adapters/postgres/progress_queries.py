"""Answers the progress queries from the read model."""

from __future__ import annotations

from typing import Any

import asyncpg

from adapters.postgres.errors import translated
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.log_queries import NoSuchAggregate
from adapters.postgres.paging import position_before
from adapters.postgres.positions import ReaderPositions
from domain.ports import Clock, StreamName
from domain.progress import KIND
from handlers.routes import QueryRoute
from millrace.contracts import progress as contract
from millrace.contracts.wire import Context
from projections.progress_queries import listed_progress, one_progress

READER = "progress"
LAST = 9_223_372_036_854_775_807


class ProgressQueries:
    """Answers `progress.get` and `progress.list`."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        store: PostgresEventStore,
        positions: ReaderPositions,
        clock: Clock,
    ) -> None:
        self._pool, self._store, self._positions, self._clock = pool, store, positions, clock

    def routes(self) -> dict[str, QueryRoute]:
        return {
            "progress.get": QueryRoute(contract.GetProgress, self._get, READER),
            "progress.list": QueryRoute(contract.ListProgress, self._list, READER),
        }

    @translated
    async def _get(self, query: contract.GetProgress, context: Context) -> dict[str, Any]:
        """Never older than the newest event of the progress."""
        last = await self._store.last_position(StreamName(KIND, context.tenant, query.progress_id))
        if last is None:
            raise NoSuchAggregate(KIND, query.progress_id)
        await self._positions.must_reach(READER, last)
        async with self._pool.acquire() as connection:
            row = await one_progress(connection, context.tenant, query.progress_id)
        if row is None:
            raise NoSuchAggregate(KIND, query.progress_id)
        return {"progress": self._shown(row)}

    @translated
    async def _list(self, query: contract.ListProgress, context: Context) -> dict[str, Any]:
        before = position_before(query.cursor)
        filters = (query.status, query.user_id, query.type, query.parent_id, query.stalled)
        async with self._pool.acquire() as connection:
            rows = await listed_progress(
                connection, context.tenant, LAST if before is None else before, filters, query.limit + 1
            )
        page = rows[: query.limit]
        cursor = str(page[-1]["position"]) if len(rows) > query.limit else None
        return {"progress": [self._shown(row) for row in page], "cursor": cursor}

    def _shown(self, row: dict[str, Any]) -> dict[str, Any]:
        state = {name: value for name, value in row.items() if name != "position"}
        return contract.shown(state, self._clock.now())
