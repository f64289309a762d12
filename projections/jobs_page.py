"""What a page of events comes to in the `jobs` read model, before it is written."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import to_json

from domain import job_change, job_events, job_repair
from projections import dead_letters, job_links
from projections import jobs_schema as sql
from projections.jobs_rows import Fixed, JobRow
from projections.projection import Connection


@dataclass(slots=True)
class Page:
    """What one page of events comes to, before it is written; rows by stream.

    Attributes:
        edited: the newest data of jobs that got other data, JSON text by (tenant, id).
        moved: jobs that joined or left the dead letters, as (tenant, id).
    """

    created: dict[str, Fixed] = field(default_factory=dict)
    touched: dict[str, JobRow] = field(default_factory=dict)
    removed: dict[str, JobRow] = field(default_factory=dict)
    changed: dict[str, tuple[str, int, str]] = field(default_factory=dict)
    errors: list[tuple[Any, ...]] = field(default_factory=list)
    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    edited: dict[tuple[str, str], str] = field(default_factory=dict)
    moved: set[tuple[str, str]] = field(default_factory=set)
    parents: list[tuple[Any, ...]] = field(default_factory=list)

    def resettle(self, key: str, event: job_change.Changed) -> None:
        """Takes down what else is fixed for a job until it is changed while it waits."""
        data = to_json(event.data).decode()
        if key in self.created:
            position, name, _, _, *rest = self.created[key]
            self.created[key] = (position, name, data, event.priority, *rest)
        else:
            self.changed[key] = (event.queue, event.priority, data)

    def rows(self) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        """Rows of new jobs, and of changed ones."""
        added = [self.touched[key].row(fixed) for key, fixed in self.created.items()]
        return added, [row.row() for key, row in self.touched.items() if key not in self.created]

    def deltas(self) -> list[tuple[Any, ...]]:
        """Tenant, queue, status, and by how many jobs the count has changed."""
        return [(*key, n) for key, n in sorted(self.counts.items()) if n]

    async def write(self, connection: Connection, version: int) -> None:
        """Writes all of it to the version's tables."""
        inserts, updates = self.rows()
        if inserts:
            await connection.execute(sql.INSERT.format(v=version), inserts)
        if updates:
            await connection.execute(sql.UPDATE.format(v=version), updates)
        if self.changed:
            rows = [(self.touched[key].tenant, self.touched[key].id, *values) for key, values in self.changed.items()]
            await connection.execute(sql.RESETTLE.format(v=version), *zip(*rows, strict=True))
        if self.parents:
            await connection.execute(job_links.INSERT.format(v=version), self.parents)
        if self.errors:
            await connection.execute(sql.INSERT_ERRORS.format(v=version), *zip(*self.errors, strict=True))
        if self.edited:
            edits = [(tenant, id, data) for (tenant, id), data in self.edited.items()]
            await connection.execute(sql.EDIT.format(v=version), *zip(*edits, strict=True))
        if self.moved:
            await dead_letters.renew(connection, version, sorted(self.moved))
        if self.removed:
            keys = list(zip(*((row.tenant, row.id) for row in self.removed.values()), strict=True))
            await connection.execute(sql.REMOVE.format(v=version), *keys)
            await connection.execute(sql.REMOVE_ERRORS.format(v=version), *keys)
            await connection.execute(dead_letters.LOST.format(v=version), *keys)
        deltas = self.deltas()
        if deltas:
            await connection.execute(sql.COUNT.format(v=version), *zip(*deltas, strict=True))


def change(row: JobRow, event: object, page: Page) -> None:
    """Folds an event of a job that is there already into its row, and into the page what stands in other tables."""
    match event:
        case job_change.Changed(queue=queue, run_at=run_at, status=status):
            row.queue, row.run_at, row.status = queue, run_at, status
        case job_events.Started(timestamp=at, worker=worker):
            row.status, row.attempts, row.started_at = "processing", row.attempts + 1, at
            row.worker, row.run_at = worker, None
        case job_events.Completed(timestamp=at, result=result):
            row.status, row.completed_at, row.worker = "completed", at, None
            row.result, row.error = None if result is None else to_json(result).decode(), None
        case job_events.AttemptFailed(timestamp=at, attempt=attempt, error=error):
            row.status, row.worker, row.error = "pending", None, error["message"]
            page.errors.append(
                (row.tenant, row.id, attempt, error["type"], error["message"], error.get("traceback"), at)
            )
        case job_events.AttemptLost(timestamp=at, attempt=attempt, worker=worker):
            message = f"worker {worker} stopped renewing its lease"
            row.status, row.worker, row.error = "pending", None, message
            page.errors.append((row.tenant, row.id, attempt, "WorkerLost", message, None, at))
        case job_events.AttemptReturned():
            row.status, row.worker, row.attempts = "pending", None, row.attempts - 1
        case job_events.RetryScheduled(run_at=run_at):
            row.status, row.run_at = "delayed", run_at
        case job_events.DeadLettered(timestamp=at):
            row.status, row.dead_lettered, row.failed_at = "failed", True, at
            page.moved.add((row.tenant, row.id))
        case job_events.Revived(max_attempts=max_attempts):
            page.moved.add((row.tenant, row.id))
            row.status, row.dead_lettered, row.failed_at, row.max_attempts = "pending", False, None, max_attempts
        case job_repair.RetryUndone(max_attempts=max_attempts, failed_at=failed_at):
            page.moved.add((row.tenant, row.id))
            row.status, row.dead_lettered, row.failed_at, row.max_attempts = "failed", True, failed_at, max_attempts
            row.run_at = None
        case job_repair.Edited(data=data) | job_repair.EditUndone(data=data):
            page.edited[row.tenant, row.id] = to_json(data).decode()
        case job_events.Cancelled():
            row.status, row.run_at, row.worker = "cancelled", None, None
        case _:
            return
