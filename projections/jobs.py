"""The `jobs` read model: one row a job, one row a failed attempt, and counts by status that need no counting."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from pydantic_core import to_json

from domain import archive, job, job_change, job_events
from domain.ports import RecordedEvent, StreamName
from projections import jobs_schema as sql
from projections.jobs_page import Page, change
from projections.jobs_rows import JobRow
from projections.projection import Connection, Statement, events_of
from projections.tables import VersionedTables

REMEMBERED = 20_000
ENDED = frozenset({"completed", "failed", "cancelled"})
# What nearly all events are; they touch rows and counts and nothing else.
COMMON = frozenset({job_events.Enqueued, job_events.Started, job_events.Completed})


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
        await page.write(connection, version)
        self._let_go(page)

    async def at_once(self, connection: Connection, version: int, events: Sequence[RecordedEvent]) -> Statement | None:
        """Implements `projections.projection.AtOnce`."""
        if not all(map(_is_common, events)):
            return None
        page = await self._page(connection, version, events)
        deltas = page.deltas()
        if not deltas:
            self.forget()
            return None
        added, changed = page.rows()
        self._let_go(page)
        return Statement(sql.AT_ONCE.format(v=version), (added, changed, *zip(*deltas, strict=True)))

    async def _page(self, connection: Connection, version: int, events: Sequence[RecordedEvent]) -> Page:
        await self._remember(connection, version, events)
        page = Page()
        for event in events:
            self._fold(page, event)
        return page

    def _let_go(self, page: Page) -> None:
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

    def _fold(self, page: Page, recorded: RecordedEvent) -> None:
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
        change(existing, event, page)
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
            page.resettle(key, event)
        if (existing.status, existing.queue) != (before, queue):
            page.counts[tenant, queue, before] -= 1
            page.counts[tenant, existing.queue, existing.status] += 1
        page.touched[key] = existing


def _is_common(recorded: RecordedEvent) -> bool:
    event = recorded.event
    return type(event) in COMMON and not (isinstance(event, job_events.Enqueued) and event.after)
