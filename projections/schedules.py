"""The `schedules` read model: what is enqueued when, and what the scheduler looks for what is due in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic_core import from_json, to_json

from domain import schedule, schedule_events
from domain.ports import RecordedEvent
from projections.projection import Connection, events_of
from projections.tables import VersionedTables

CREATE = """
CREATE TABLE IF NOT EXISTS schedules_v{v} (
    tenant      text             NOT NULL,
    name        text             NOT NULL,
    company     text,
    cron        text,
    every       double precision,
    timezone    text             NOT NULL,
    job         json             NOT NULL,
    missed      text             NOT NULL,
    grace       double precision NOT NULL,
    catch_up    integer          NOT NULL,
    overlap     text             NOT NULL,
    starts_at   timestamptz,
    ends_at     timestamptz,
    anchor      timestamptz      NOT NULL,
    paused      boolean          NOT NULL DEFAULT false,
    next_due_at timestamptz,
    last_due_at timestamptz,
    last_job_id text,
    runs        bigint           NOT NULL DEFAULT 0,
    created_at  timestamptz      NOT NULL,
    PRIMARY KEY (tenant, name)
);
CREATE INDEX IF NOT EXISTS schedules_v{v}_due_idx ON schedules_v{v} (next_due_at) WHERE next_due_at IS NOT NULL;
"""
PLAN = ("cron", "every", "timezone", "job", "missed", "grace", "catch_up", "overlap", "starts_at", "ends_at", "anchor")
SHOWN = (
    "name, cron, every, timezone, job, missed, grace, catch_up, overlap, starts_at, ends_at, anchor, paused,"
    " next_due_at, last_due_at, last_job_id, runs, created_at"
)
LIST = f"""
SELECT {SHOWN} FROM schedules
 WHERE tenant = $1 AND ($2::boolean IS NULL OR paused = $2) AND ($3::text IS NULL OR name > $3)
 ORDER BY name LIMIT $4
"""


class SchedulesProjection(VersionedTables):
    """Implements `projections.projection.Projection`."""

    name = "schedules"
    kinds = frozenset({schedule.KIND})
    views: tuple[str, ...] = ("schedules",)
    definition = CREATE

    async def apply(self, connection: Connection, version: int, events: Sequence[RecordedEvent]) -> None:
        for event in events_of(schedule.KIND, events):
            await _write(connection, f"schedules_v{version}", event)


async def _write(connection: Connection, table: str, recorded: RecordedEvent) -> None:
    key = (recorded.stream.tenant, recorded.stream.id)
    where = "WHERE tenant = $1 AND name = $2"
    match recorded.event:
        case schedule_events.Created() as event:
            columns = ("tenant", "name", "company", "created_at", "next_due_at", *PLAN)
            values = (*key, recorded.metadata.company, event.timestamp, event.next_due_at, *_plan(event))
            places = ", ".join(f"${place}" for place in range(1, len(columns) + 1))
            await connection.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", *values)
        case schedule_events.Changed() as event:
            changes = ", ".join(f"{column} = ${place}" for place, column in enumerate(("next_due_at", *PLAN), 3))
            await connection.execute(f"UPDATE {table} SET {changes} {where}", *key, event.next_due_at, *_plan(event))
        case schedule_events.Fired() as event:
            await connection.execute(
                f"UPDATE {table} SET last_job_id = $3, next_due_at = $4, runs = runs + 1,"
                f" last_due_at = coalesce($5, last_due_at) {where}",
                *key,
                event.job_id,
                event.next_due_at,
                None if event.triggered else event.due_at,
            )
        case schedule_events.Skipped() as event:
            await connection.execute(f"UPDATE {table} SET next_due_at = $3 {where}", *key, event.next_due_at)
        case schedule_events.Paused():
            await connection.execute(f"UPDATE {table} SET paused = true, next_due_at = NULL {where}", *key)
        case schedule_events.Resumed() as event:
            await connection.execute(
                f"UPDATE {table} SET paused = false, next_due_at = $3 {where}", *key, event.next_due_at
            )
        case schedule_events.Removed():
            await connection.execute(f"DELETE FROM {table} {where}", *key)
        case _:
            return


def _plan(event: schedule_events.Planned) -> list[Any]:
    return [to_json(event.job).decode() if name == "job" else getattr(event, name) for name in PLAN]


async def one_schedule(connection: Connection, tenant: str, name: str) -> dict[str, Any] | None:
    """One schedule as a row."""
    row = await connection.fetchrow(f"SELECT {SHOWN} FROM schedules WHERE tenant = $1 AND name = $2", tenant, name)
    return None if row is None else _read(dict(row))


async def listed_schedules(
    connection: Connection, tenant: str, paused: bool | None, after: str | None, limit: int
) -> list[dict[str, Any]]:
    """Schedules as rows, by name, those behind the name `after`."""
    return [_read(dict(row)) for row in await connection.fetch(LIST, tenant, paused, after, limit)]


def _read(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"job": from_json(row["job"])}
