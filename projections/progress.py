"""The `progress` read model: how far work has got, with its stages, as it was recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic_core import to_json

from domain import progress_events as progress
from domain.ports import RecordedEvent
from domain.progress import KIND
from projections.progress_schema import (
    CANCEL,
    CHECKPOINT,
    COMPLETE,
    COMPLETE_STAGES,
    COUNT_JOBS,
    CREATE,
    DROP,
    ENTER_STAGE,
    FAIL,
    HEAR_CHILD,
    INSERT,
    INSERT_STAGES,
    MARK_STAGE,
    ONE,
    PUBLISH,
    PUT_CHILD,
    RESUME,
    STALL,
    TABLES,
    UPDATE,
)
from projections.projection import Connection, events_of


class ProgressProjection:
    """Implements `projections.projection.Projection`."""

    name = "progress"
    kinds = frozenset({KIND})
    views: tuple[str, ...] = TABLES

    async def create(self, connection: Connection, version: int) -> None:
        await connection.execute(CREATE.format(v=version))

    async def publish(self, connection: Connection, version: int) -> None:
        await connection.execute(PUBLISH.format(v=version))

    async def drop(self, connection: Connection, version: int) -> None:
        await connection.execute(DROP.format(v=version))

    def tables(self, version: int) -> Sequence[str]:
        return [f"{table}_v{version}" for table in TABLES]

    def forget(self) -> None:
        """Nothing is remembered between pages."""

    async def apply(self, connection: Connection, version: int, events: Sequence[RecordedEvent]) -> None:
        for event in events_of(KIND, events):
            await _write(connection, version, event)


async def _write(connection: Connection, v: int, recorded: RecordedEvent) -> None:
    key = (recorded.stream.tenant, recorded.stream.id)
    at = recorded.event.timestamp
    row = (*key, recorded.version, at)

    async def run(statement: str, *values: object) -> None:
        await connection.execute(statement.format(v=v), *values)

    match recorded.event:
        case progress.Created() as event:
            await _forget(connection, v, key)
            await run(
                INSERT, *key, recorded.version, recorded.metadata.company, event.type, _json(event.metadata),
                event.user_id, event.parent_id, event.weight, event.children and _json(event.children),
                event.stall_after, at, recorded.position,
            )  # fmt: skip
            if event.stages:
                names, weights = zip(*((stage["name"], stage["weight"]) for stage in event.stages), strict=True)
                await run(INSERT_STAGES, *key, names, weights)
        case progress.Updated() | progress.StageChanged() as event:
            await run(UPDATE, *row, event.progress, event.rate, event.stage, event.stage_progress)
            if event.stage is not None:
                await run(ENTER_STAGE, *key, event.stage, event.stage_progress, at)
        case progress.Completed() as event:
            await run(COMPLETE, *row, event.progress, _json(event.result))
            await run(COMPLETE_STAGES, *key, at)
        case progress.Failed() as event:
            await run(FAIL, *row, event.error, event.error_detail and _json(event.error_detail))
            await run(MARK_STAGE, *key, "failed")
        case progress.Cancelled() as event:
            await run(CANCEL, *row, event.reason)
            await run(MARK_STAGE, *key, "cancelled")
        case progress.Resumed():
            await run(RESUME, *row)
            await run(MARK_STAGE, *key, "processing")
        case progress.ChildReported() as event:
            await run(HEAR_CHILD, *row, event.progress, event.rate, event.child_status)
            await run(PUT_CHILD, *key, event.child_id, event.child_status)
        case progress.JobsCounted() as event:
            await run(COUNT_JOBS, *row, event.progress, event.rate, event.status, _json(event.children))
        case progress.Checkpointed() as event:
            await run(CHECKPOINT, *row, _json(event.checkpoint))
        case progress.Stalled():
            await run(STALL, *row)
        case progress.Removed():
            await _forget(connection, v, key)
        case _:
            return


async def _forget(connection: Connection, v: int, key: tuple[str, str]) -> None:
    for table in TABLES:
        await connection.execute(f"DELETE FROM {table}_v{v} {ONE}", *key)


def _json(value: Any) -> str | None:
    return None if value is None else to_json(value).decode()
