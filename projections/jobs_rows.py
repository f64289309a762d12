"""A row of the `jobs` table, while its events are folded into it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

# Position, name, data, priority, timeout, company, correlation id, time of creation and key.
Fixed = tuple[Any, Any, Any, Any, Any, Any, Any, Any, Any]
NOTHING_FIXED: Fixed = (None,) * 9


@dataclass(slots=True)
class JobRow:
    """The part of a job's row that changes."""

    tenant: str
    id: str
    queue: str
    version: int = 1
    status: str = "pending"
    attempts: int = 0
    max_attempts: int = 1
    run_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    failed_at: datetime | None = None
    worker: str | None = None
    result: str | None = None
    error: str | None = None
    dead_lettered: bool = False

    def row(self, fixed: Fixed = NOTHING_FIXED) -> tuple[Any, ...]:
        """The table's row; an update leaves out what never changes."""
        position, name, data, priority, timeout, company, correlation_id, created_at, key = fixed
        return (
            self.tenant,
            self.id,
            position,
            self.version,
            name,
            data,
            self.queue,
            priority,
            timeout,
            company,
            correlation_id,
            created_at,
            self.status,
            self.attempts,
            self.max_attempts,
            self.run_at,
            self.started_at,
            self.completed_at,
            self.failed_at,
            self.worker,
            self.result,
            self.error,
            self.dead_lettered,
            key,
        )
