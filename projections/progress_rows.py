"""The rows of one progress: the domain's own state, as far as the read model has it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import asyncpg
from pydantic_core import to_json

from domain import progress_events as events
from domain.ports import RecordedEvent
from domain.progress import Progress

# Position, company, type, metadata, user, parent, weight and time of creation.
Fixed = tuple[Any, Any, Any, Any, Any, Any, Any, Any]
NOTHING_FIXED: Fixed = (None,) * 8
KEPT = (
    "status", "progress", "stage", "error", "rate", "stall_after", "stalled_at", "started_at", "updated_at",
    "completed_at", "failed_at", "cancelled_at",
)  # fmt: skip
JSON = ("rule", "checkpoint", "result", "error_detail")


class Stored(str):
    """JSON text as the table has it; nothing here looks into it."""


class ProgressRow:
    """What changes of a progress in the tables. Events are applied to it as to the aggregate, so that both agree."""

    def __init__(self, tenant: str, id: str, progress: Progress, version: int) -> None:
        self.tenant, self.id, self.progress, self.version = tenant, id, progress, version
        self._written: dict[int, dict[str, Any]] = {}

    @classmethod
    def created(cls, recorded: RecordedEvent, event: events.Created) -> tuple[ProgressRow, Fixed]:
        """The row of a new progress, and what never changes of it."""
        stream = recorded.stream
        row = cls(stream.tenant, stream.id, Progress.shell(event), recorded.version)
        fixed = (
            recorded.position,
            recorded.metadata.company,
            event.type,
            to_json(event.metadata).decode(),
            event.user_id,
            event.parent_id,
            event.weight,
            event.timestamp,
        )
        return row, fixed

    @classmethod
    def read(cls, found: asyncpg.Record, stages: Iterable[asyncpg.Record]) -> ProgressRow:
        """The row as the tables have it."""
        progress = Progress.__new__(Progress)
        progress.__base_init__("", found["version"], found["updated_at"])
        for name in KEPT:
            setattr(progress, name, found[name])
        for name in JSON:
            setattr(progress, name, None if found[name] is None else Stored(found[name]))
        progress.stages = [
            {
                "name": stage["name"],
                "weight": stage["weight"],
                "status": stage["status"],
                "progress": stage["progress"],
                "started_at": _text(stage["started_at"]),
                "completed_at": _text(stage["completed_at"]),
            }
            for stage in stages
        ]
        row = cls(found["tenant"], found["id"], progress, found["version"])
        row.written()
        return row

    def apply(self, recorded: RecordedEvent) -> None:
        """What an event makes of it."""
        recorded.event.apply(self.progress)
        self.version = recorded.version

    def row(self, fixed: Fixed = NOTHING_FIXED) -> tuple[Any, ...]:
        """The table's row; an update leaves out what never changes."""
        position, company, type_, metadata, user_id, parent_id, weight, created_at = fixed
        it = self.progress
        return (
            self.tenant,
            self.id,
            company,
            self.version,
            type_,
            it.status,
            it.progress,
            it.stage,
            next((stage["progress"] for stage in it.stages if stage["name"] == it.stage), None),
            metadata,
            user_id,
            parent_id,
            weight,
            _json(it.rule),
            _json(it.checkpoint),
            _json(it.result),
            it.error,
            _json(it.error_detail),
            it.rate,
            it.stall_after,
            self._stalls_at(),
            it.stalled_at,
            created_at,
            it.started_at,
            it.updated_at,
            it.completed_at,
            it.failed_at,
            it.cancelled_at,
            position,
        )

    def stages(self) -> list[tuple[Any, ...]]:
        """The rows of the stages that are others than the tables have."""
        return [
            (
                self.tenant,
                self.id,
                n,
                stage["name"],
                stage["weight"],
                stage["status"],
                stage["progress"],
                _time(stage["started_at"]),
                _time(stage["completed_at"]),
            )
            for n, stage in enumerate(self.progress.stages, 1)
            if self._written.get(n) != stage
        ]

    def children(self) -> list[tuple[Any, ...]]:
        """The rows of the parts that were heard of on this page."""
        return [(self.tenant, self.id, id, child["status"]) for id, child in self.progress.children.items()]

    def written(self) -> None:
        """The tables have all of it now."""
        self._written = {n: dict(stage) for n, stage in enumerate(self.progress.stages, 1)}
        self.progress.children = {}

    def _stalls_at(self) -> datetime | None:
        it = self.progress
        if it.status != "processing" or it.stall_after is None or it.stalled_at is not None:
            return None
        return it.updated_at + timedelta(seconds=it.stall_after)


def _json(value: Any) -> str | None:
    if value is None or isinstance(value, Stored):
        return value
    return to_json(value).decode()


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
