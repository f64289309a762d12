"""Answers the schedule queries from the read model."""

from __future__ import annotations

from itertools import islice
from typing import Any

import asyncpg

from adapters.postgres.errors import translated
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.log_queries import NoSuchAggregate
from adapters.postgres.paging import UnreadableCursor
from adapters.postgres.positions import ReaderPositions
from domain.ports import StreamName
from domain.schedule import KIND
from handlers.routes import QueryRoute
from millrace.contracts import schedule as contract
from millrace.contracts.recurrence import recurrence, upcoming, zone_of
from millrace.contracts.wire import Context
from projections.schedules import listed_schedules, one_schedule

READER = "schedules"


class ScheduleQueries:
    """Answers `schedule.get`, `schedule.list` and `schedule.next`."""

    def __init__(
        self, pool: asyncpg.Pool[asyncpg.Record], store: PostgresEventStore, positions: ReaderPositions
    ) -> None:
        self._pool, self._store, self._positions = pool, store, positions

    def routes(self) -> dict[str, QueryRoute]:
        return {
            "schedule.get": QueryRoute(contract.GetSchedule, self._get, READER),
            "schedule.list": QueryRoute(contract.ListSchedules, self._list, READER),
            "schedule.next": QueryRoute(contract.NextRuns, self._next, READER),
        }

    @translated
    async def _get(self, query: contract.GetSchedule, context: Context) -> dict[str, Any]:
        return {"schedule": _shown(await self._found(query.name, context))}

    @translated
    async def _list(self, query: contract.ListSchedules, context: Context) -> dict[str, Any]:
        if query.cursor is not None and "\0" in query.cursor:
            raise UnreadableCursor
        async with self._pool.acquire() as connection:
            rows = await listed_schedules(connection, context.tenant, query.paused, query.cursor, query.limit + 1)
        page = rows[: query.limit]
        cursor = page[-1]["name"] if len(rows) > query.limit else None
        return {"schedules": [_shown(row) for row in page], "cursor": cursor}

    @translated
    async def _next(self, query: contract.NextRuns, context: Context) -> dict[str, Any]:
        row = await self._found(query.name, context)
        recurring = recurrence(row["cron"], row["every"], row["timezone"], row["anchor"])
        due = list(islice(upcoming(recurring, row["next_due_at"], row["ends_at"]), query.count))
        zone = zone_of(row["timezone"])
        return {
            "name": row["name"],
            "paused": row["paused"],
            "timezone": row["timezone"],
            "next": due,
            "local": [each.astimezone(zone).isoformat() for each in due],
        }

    async def _found(self, name: str, context: Context) -> dict[str, Any]:
        """The row, never older than the newest event of the schedule."""
        last = await self._store.last_position(StreamName(KIND, context.tenant, name))
        if last is None:
            raise NoSuchAggregate(KIND, name)
        await self._positions.must_reach(READER, last)
        async with self._pool.acquire() as connection:
            row = await one_schedule(connection, context.tenant, name)
        if row is None:
            raise NoSuchAggregate(KIND, name)
        return row


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "anchor"}
