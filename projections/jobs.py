"""The `jobs` read model: one row a job, one row a failed attempt, and counts by status that need no counting."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic_core import to_json

from domain import archive, job, job_change, job_events, job_repair
from domain.ports import RecordedEvent, StreamName
from projections import dead_letters, job_links
from projections import jobs_schema as sql
from projections.projection import Connection, Statement, events_of
from projections.tables import VersionedTables

REMEMBERED = 20_000
ENDED = frozenset({"completed", "failed", "cancelled"})
# What nearly all events are; they touch rows and counts and nothing else.
COMMON = frozenset({job_events.Enqueued, job_events.Started, job_events.Completed})
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


@dataclass(slots=True)
class _Page:
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


class JobsProjection(VersionedTables):
    """Implements `projections.projection.Projection`."""

    name = "jobs"
    kinds = frozenset({job.KIND, archive.KIND})
    views: tuple[str, ...] = sql.TABLES
    definition = sql.CREATE

    def __init__(self) -> None:
        self._rows: OrderedDict[str, JobRow] = OrderedDict()

    def forget(self) -> None:
        self._rows.clear()

    async def apply(self, connection: Connection, version: int, events: Sequence[RecordedEvent]) -> None:
        start = 0
        for number, recorded in enumerate(events):
            if isinstance(recorded.event, archive.StreamsArchived) and recorded.event.kind == job.KIND:
                await self._apply_jobs(connection, version, events[start:number])
                await self._drop(connection, version, recorded.stream.tenant, recorded.event.ids)
                start = number + 1
        await self._apply_jobs(connection, version, events[start:])

    async def _drop(self, connection: Connection, version: int, tenant: str, ids: Sequence[str]) -> None:
        """Leaves nothing of jobs that were archived. One rebuild has met some of their events, the next one meets none:
        both come to the same rows."""
        for id in ids:
            self._rows.pop(StreamName(job.KIND, tenant, id).text, None)
        for statement in sql.ARCHIVE:
            await connection.execute(statement.format(v=version), tenant, ids)

    async def _apply_jobs(self, connection: Connection, version: int, events: Sequence[RecordedEvent]) -> None:
        events = events_of(job.KIND, events)
        if not events:
            return
        page = await self._page(connection, version, events)
        await _write(connection, version, page)
        self._let_go(page)

    async def at_once(self, connection: Connection, version: int, events: Sequence[RecordedEvent]) -> Statement | None:
        """Implements `projections.projection.AtOnce`."""
        if not all(map(_is_common, events)):
            return None
        page = await self._page(connection, version, events)
        deltas = _deltas(page)
        if not deltas:
            self.forget()
            return None
        added, changed = _rows(page)
        self._let_go(page)
        return Statement(sql.AT_ONCE.format(v=version), (added, changed, *zip(*deltas, strict=True)))

    async def _page(self, connection: Connection, version: int, events: Sequence[RecordedEvent]) -> _Page:
        await self._remember(connection, version, events)
        page = _Page()
        for event in events:
            self._fold(page, event)
        return page

    def _let_go(self, page: _Page) -> None:
        for key, row in page.touched.items():
            if row.status in ENDED:
                self._rows.pop(key, None)
        while len(self._rows) > REMEMBERED:
            self._rows.popitem(last=False)

    async def _remember(self, connection: Connection, version: int, events: Sequence[RecordedEvent]) -> None:
        """Brings the rows into memory that the events change and this process has not just written itself."""
        missing: dict[tuple[str, str], str] = {}
        created: set[str] = set()
        for recorded in events:
            stream = recorded.event.originator_id
            if recorded.version == 1:
                created.add(stream)
            elif stream not in self._rows and stream not in created:
                missing[recorded.stream.tenant, recorded.stream.id] = stream
        if missing:
            keys = list(zip(*missing, strict=True))
            for row in await connection.fetch(sql.FETCH.format(v=version), *keys):
                self._rows[missing[row["tenant"], row["id"]]] = JobRow(**row)

    def _fold(self, page: _Page, recorded: RecordedEvent) -> None:
        event = recorded.event
        key = event.originator_id
        tenant = recorded.stream.tenant
        if isinstance(event, job_events.Enqueued):
            row = JobRow(tenant, recorded.stream.id, event.queue, max_attempts=event.max_attempts, run_at=event.run_at)
            row.status = "pending" if event.run_at is None and not event.after else "delayed"
            self._rows[key] = row
            page.created[key] = (
                recorded.position,
                event.name,
                to_json(event.data).decode(),
                event.priority,
                event.timeout,
                recorded.metadata.company,
                recorded.metadata.correlation_id,
                event.timestamp,
                event.key,
            )
            page.counts[tenant, row.queue, row.status] += 1
            page.touched[key] = row
            if event.after:
                page.parents += ((tenant, row.id, parent, event.on_parent_failure) for parent in event.after)
            return
        existing = self._rows.get(key)
        if existing is None or recorded.version <= existing.version:
            return
        before, queue = existing.status, existing.queue
        _change(existing, event, page)
        existing.version = recorded.version
        if isinstance(event, job_events.Removed):
            page.counts[tenant, existing.queue, before] -= 1
            page.removed[key] = existing
            page.touched.pop(key, None)
            page.created.pop(key, None)
            page.changed.pop(key, None)
            del self._rows[key]
            return
        if isinstance(event, job_change.Changed):
            _resettle(page, key, event)
        if (existing.status, existing.queue) != (before, queue):
            page.counts[tenant, queue, before] -= 1
            page.counts[tenant, existing.queue, existing.status] += 1
        page.touched[key] = existing


def _resettle(page: _Page, key: str, event: job_change.Changed) -> None:
    """What is fixed for a job, unless it is changed while it waits."""
    data = to_json(event.data).decode()
    if key in page.created:
        position, name, _, _, *rest = page.created[key]
        page.created[key] = (position, name, data, event.priority, *rest)
    else:
        page.changed[key] = (event.queue, event.priority, data)


def _change(row: JobRow, event: object, page: _Page) -> None:
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


def _is_common(recorded: RecordedEvent) -> bool:
    event = recorded.event
    return type(event) in COMMON and not (isinstance(event, job_events.Enqueued) and event.after)


def _rows(page: _Page) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Rows of new jobs, and of changed ones."""
    added = [page.touched[key].row(fixed) for key, fixed in page.created.items()]
    return added, [row.row() for key, row in page.touched.items() if key not in page.created]


def _deltas(page: _Page) -> list[tuple[Any, ...]]:
    return [(*key, n) for key, n in sorted(page.counts.items()) if n]


async def _write(connection: Connection, version: int, page: _Page) -> None:
    inserts, updates = _rows(page)
    if inserts:
        await connection.execute(sql.INSERT.format(v=version), inserts)
    if updates:
        await connection.execute(sql.UPDATE.format(v=version), updates)
    if page.changed:
        rows = [(page.touched[key].tenant, page.touched[key].id, *values) for key, values in page.changed.items()]
        await connection.execute(sql.RESETTLE.format(v=version), *zip(*rows, strict=True))
    if page.parents:
        await connection.execute(job_links.INSERT.format(v=version), page.parents)
    if page.errors:
        await connection.execute(sql.INSERT_ERRORS.format(v=version), *zip(*page.errors, strict=True))
    if page.edited:
        edits = [(tenant, id, data) for (tenant, id), data in page.edited.items()]
        await connection.execute(sql.EDIT.format(v=version), *zip(*edits, strict=True))
    if page.moved:
        await dead_letters.renew(connection, version, sorted(page.moved))
    if page.removed:
        keys = list(zip(*((row.tenant, row.id) for row in page.removed.values()), strict=True))
        await connection.execute(sql.REMOVE.format(v=version), *keys)
        await connection.execute(sql.REMOVE_ERRORS.format(v=version), *keys)
        await connection.execute(dead_letters.LOST.format(v=version), *keys)
    deltas = _deltas(page)
    if deltas:
        await connection.execute(sql.COUNT.format(v=version), *zip(*deltas, strict=True))
