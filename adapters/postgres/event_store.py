"""The event store on PostgreSQL: appends go through the flusher, reads through a pool."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg
from eventsourcing.persistence import StoredEvent
from pydantic_core import from_json

from adapters.postgres.errors import translated
from adapters.postgres.group_commit import GroupCommit
from adapters.postgres.mapper import EventMapper
from adapters.postgres.rows import ENVELOPE_BYTES
from adapters.postgres.snapshots import restored, stored_snapshot
from adapters.postgres.tail import PAGE_BYTES, EventTail, Page
from domain.aggregate import Aggregate, Event, Unreadable
from domain.ports import (
    Append,
    Loaded,
    Metadata,
    Outcome,
    RecordedEvent,
    Rejected,
    StoreUnavailable,
    StreamName,
)

COLUMNS = """originator_id, originator_version, topic, state, notification_id, event_id, event_type, kind, subject,
       tenant, company, correlation_id, causation_id, metadata, recorded_at"""
LOAD = f"""
SELECT {COLUMNS} FROM stored_events e
 WHERE originator_id = ANY ($1::text[])
   AND originator_version > coalesce((SELECT max(s.originator_version) FROM snapshots s
                                       WHERE s.originator_id = e.originator_id), 0)
 ORDER BY originator_id, originator_version
"""
SNAPSHOTS = """
SELECT DISTINCT ON (originator_id) originator_id, originator_version, topic, state FROM snapshots
 WHERE originator_id = ANY ($1::text[]) ORDER BY originator_id, originator_version DESC
"""
ORIGINS = f"SELECT {COLUMNS} FROM stored_events WHERE originator_id = ANY ($1::text[]) AND originator_version = 1"
SAVE_SNAPSHOT = "INSERT INTO snapshots VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"
READ = f"""
SELECT {COLUMNS} FROM (
    SELECT *, sum(octet_length(state)) OVER (ORDER BY notification_id) - octet_length(state) AS before
      FROM (SELECT * FROM stored_events WHERE notification_id > $1 AND event_type IS DISTINCT FROM 'stream.archived'
             ORDER BY notification_id LIMIT $2) AS page) AS sized
 WHERE before < {PAGE_BYTES} ORDER BY notification_id
"""
HISTORY = f"""
SELECT {COLUMNS} FROM (
    SELECT *, sum(octet_length(state)) OVER (ORDER BY originator_version) - octet_length(state) AS before FROM (
        SELECT * FROM stored_events
         WHERE originator_id = $1 AND originator_version > $2 AND ($4::timestamptz IS NULL OR recorded_at <= $4)
         ORDER BY originator_version LIMIT $3) AS page) AS sized
 WHERE before < {PAGE_BYTES} ORDER BY originator_version
"""
READ_TENANT = f"""
SELECT {COLUMNS}, found FROM (
    SELECT *, sum(octet_length(state)) OVER (ORDER BY notification_id) - octet_length(state) AS before,
           count(*) OVER () AS found FROM (
        SELECT * FROM stored_events
         WHERE notification_id > $1 AND notification_id <= $2 AND tenant = $3 AND (event_type || '.') ~ $4
           AND event_type <> 'stream.archived'
           AND (NOT $6 OR event_type <> 'subscription.advanced')
           AND ($7::text IS NULL OR subject = $7)
         ORDER BY notification_id LIMIT $5) AS page) AS sized
 WHERE before < {PAGE_BYTES} ORDER BY notification_id
"""
RELATED = f"""
SELECT {COLUMNS} FROM stored_events WHERE tenant = $1 AND correlation_id = ANY ($2::text[])
 ORDER BY notification_id LIMIT $3
"""
# Rows as an archive has them.
FROM_ARCHIVE = f"""
SELECT {COLUMNS} FROM jsonb_populate_recordset(NULL::stored_events, $1::jsonb) ORDER BY originator_version
"""
LAST_POSITION = """
SELECT notification_id FROM stored_events WHERE originator_id = $1 ORDER BY originator_version DESC LIMIT 1
"""


# So many rows take about as long as the query for them, so that one of them bridges several small holes.
ROWS_OF_A_QUERY = 100


class PostgresEventStore:
    """Implements `domain.ports.EventStore`."""

    def __init__(
        self, pool: asyncpg.Pool[asyncpg.Record], commits: GroupCommit, mapper: EventMapper, tail: EventTail
    ) -> None:
        self._pool, self._commits, self._mapper, self._tail = pool, commits, mapper, tail
        self._filling = asyncio.Lock()

    async def append(self, appends: Sequence[Append]) -> list[Outcome]:
        encode = self._mapper.to_stored_event
        submission = self._commits.submit([(item, [encode(event) for event in _events(item)]) for item in appends])
        await submission.done
        outcomes: list[Outcome] = []
        for result in submission.outcomes:
            match result:
                case StoreUnavailable():
                    raise result
                case Exception() | None:
                    outcomes.append(Rejected(type(result).__name__))
                case _:
                    outcomes.append(result)
        return outcomes

    @translated
    async def load(self, streams: Sequence[StreamName]) -> dict[StreamName, Loaded]:
        names = {stream.text: stream for stream in streams}
        texts = list(names)
        snapshots = {row["originator_id"]: row for row in await self._pool.fetch(SNAPSHOTS, texts)}
        rows: dict[str, list[asyncpg.Record]] = {}
        for row in await self._pool.fetch(LOAD, texts):
            rows.setdefault(row["originator_id"], []).append(row)
        origins = {r["originator_id"]: r for r in await self._pool.fetch(ORIGINS, list(snapshots))} if snapshots else {}
        loaded = {}
        for text, stream in names.items():
            events = rows.get(text, [])
            origin = origins.get(text) or (events[0] if events else None)
            if origin is None:
                continue
            snapshot = restored(snapshots[text], self._mapper) if text in snapshots else None
            last = events[-1]["notification_id"] if events else await self.last_position(stream) or 0
            loaded[stream] = Loaded(snapshot, [self._event(row) for row in events], _metadata(origin), last)
        return loaded

    @translated
    async def save_snapshot(self, stream: StreamName, aggregate: Aggregate) -> None:
        row = stored_snapshot(aggregate, self._mapper)
        await self._pool.execute(SAVE_SNAPSHOT, stream.text, row.originator_version, row.topic, row.state)

    @translated
    async def history(
        self, stream: StreamName, after_version: int = 0, limit: int = 1_000, until: datetime | None = None
    ) -> list[RecordedEvent]:
        return [
            self._recorded(row) for row in await self._pool.fetch(HISTORY, stream.text, after_version, limit, until)
        ]

    @translated
    async def read(self, after: int, limit: int) -> list[RecordedEvent]:
        events, size = await self._read_on(after, limit)
        # Where several processes append, what is here and what is not take turns, and a page goes on through both.
        while events and len(events) < limit and size < PAGE_BYTES and self._tail.goes_on_after(events[-1].position):
            more = await self._read_on(events[-1].position, limit - len(events))
            if not more.events:
                break
            events += more.events
            size += more.size
        return events

    async def _read_on(self, after: int, limit: int) -> Page:
        """From memory up to the next hole, or from the database up to where it ends."""
        page = self._tail.page(after, limit)
        if page is not None:
            return page
        if self._tail.begins_after(after):
            return await self._read_log(after, limit)
        if not self._filling.locked():
            async with self._filling:
                return await self._read_hole(after, limit)
        # Somebody is reading, perhaps the same events.
        async with self._filling:
            page = self._tail.page(after, limit)
        return page or await self._read_hole(after, limit)

    async def _read_hole(self, after: int, limit: int) -> Page:
        missing = self._tail.hole(after) or limit
        return await self._read_log(after, min(limit, max(missing, ROWS_OF_A_QUERY)))

    async def _read_log(self, after: int, limit: int) -> Page:
        rows = await self._pool.fetch(READ, after, limit)
        events = [self._tail.event(row["notification_id"]) or self._recorded(row) for row in rows]
        sizes = [len(row["state"] or b"") + ENVELOPE_BYTES for row in rows]
        # The tail finds events by counting, so it has no room for what was archived between them.
        if events and events[-1].position - after == len(events):
            self._tail.extend(events, sizes)
        return Page(events, sum(sizes))

    @translated
    async def read_matching(
        self,
        tenant: str,
        expression: str,
        after: int,
        until: int,
        limit: int,
        quiet: bool = False,
        subject: str | None = None,
    ) -> tuple[list[RecordedEvent], int]:
        """One tenant's events in (after, until] whose type matches a regular expression, in order; at most `limit` and
        8 MB of them. The second value is the position up to which no other one matches.

        Args:
            quiet: leaves out the advances of subscriptions.
            subject: only the events of aggregates with this id.
        """
        rows = await self._pool.fetch(READ_TENANT, after, until, tenant, expression, limit, quiet, subject)
        events = [self._recorded(row) for row in rows]
        cut = bool(rows) and (rows[0]["found"] >= limit or rows[0]["found"] > len(rows))
        return events, events[-1].position if cut else until

    @translated
    async def related(self, tenant: str, correlations: Sequence[str], limit: int) -> list[RecordedEvent]:
        """The tenant's events that carry one of the correlation ids, in order."""
        return [self._recorded(row) for row in await self._pool.fetch(RELATED, tenant, list(correlations), limit)]

    @translated
    async def last_position(self, stream: StreamName) -> int | None:
        """Position of the stream's newest event, None where the stream does not exist."""
        position: int | None = await self._pool.fetchval(LAST_POSITION, stream.text)
        return position

    @translated
    async def head(self) -> int:
        return int(await self._pool.fetchval("SELECT head FROM store"))

    @translated
    async def archived(self) -> int:
        """The position up to which the log may have holes."""
        return int(await self._pool.fetchval("SELECT mark FROM archive_state"))

    @translated
    async def from_archive(self, rows: Sequence[str]) -> list[RecordedEvent]:
        """Events from their rows as an archive has them."""
        return [self._recorded(row) for row in await self._pool.fetch(FROM_ARCHIVE, f"[{','.join(rows)}]")]

    @translated
    async def epoch(self) -> str:
        """Names this log: positions of another epoch belong to another history."""
        return str(await self._pool.fetchval("SELECT epoch FROM store"))

    def _event(self, row: asyncpg.Record) -> Event:
        stored = StoredEvent(row["originator_id"], row["originator_version"], row["topic"], row["state"])
        try:
            return self._mapper.to_domain_event(stored)
        except Exception as error:
            # Whatever is wrong with one event must not stop those who read past it.
            return Unreadable(
                row["originator_id"],
                stored.originator_version,
                row["recorded_at"],
                topic=stored.topic,
                error=f"{type(error).__name__}: {error}"[:1_000],
            )

    def _recorded(self, row: asyncpg.Record) -> RecordedEvent:
        return RecordedEvent(
            row["notification_id"],
            StreamName(row["kind"], row["tenant"], row["subject"]),
            row["originator_version"],
            str(row["event_id"]),
            row["event_type"],
            row["recorded_at"],
            _metadata(row),
            self._event(row),
        )


def _events(append: Append) -> Sequence[Event]:
    return append.events if append.also is None else [*append.events, *append.also.events]


def _metadata(row: asyncpg.Record) -> Metadata:
    extra: dict[str, Any] = from_json(row["metadata"]) if row["metadata"] else {}
    return Metadata(
        row["tenant"],
        row["company"],
        row["correlation_id"],
        row["causation_id"],
        extra.get("actor"),
        extra.get("traceparent"),
    )
