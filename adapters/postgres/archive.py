"""Archiving on PostgreSQL: which streams may leave the log, their rows, and their deletion."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
from eventsourcing.persistence import StoredEvent

from adapters.postgres.errors import translated
from adapters.postgres.mapper import EventMapper
from domain.archive import Moving, StreamArchived, StreamsArchived
from domain.ports import StreamName

OBJECT_EVENTS = 20_000
OBJECT_BYTES = 16_000_000
# A reader that lies behind `job.removed` has not been told yet; a child may still be told its parent's result.
CANDIDATES = """
SELECT e.kind, e.tenant, e.subject
  FROM stored_events e
 WHERE e.event_type = 'job.removed'
   AND e.recorded_at < clock_timestamp() - make_interval(secs => $1)
   AND e.notification_id <= (SELECT min(position) FROM readers WHERE name NOT LIKE '%@old')
   AND NOT EXISTS (SELECT FROM subscriptions s WHERE s.tenant = e.tenant AND s.position < e.notification_id)
   AND NOT EXISTS (SELECT FROM held h WHERE h.stream = e.originator_id)
   AND NOT EXISTS (SELECT FROM dependencies d WHERE d.parent = e.originator_id)
   AND NOT EXISTS (SELECT FROM job_parents p JOIN jobs c ON c.tenant = p.tenant AND c.id = p.job_id
                    WHERE p.tenant = e.tenant AND p.parent_id = e.subject)
 ORDER BY e.notification_id LIMIT $2
"""
SIZES = """
SELECT originator_id, count(*) AS events, sum(octet_length(state)) AS bytes
  FROM stored_events WHERE originator_id = ANY ($1::text[]) GROUP BY originator_id
"""
ROWS = """
SELECT to_jsonb(e)::text AS line, e.notification_id AS position
  FROM stored_events e WHERE originator_id = ANY ($1::text[]) ORDER BY originator_id, originator_version
"""
RECORDED = """
SELECT originator_id, originator_version, topic, state, notification_id, tenant
  FROM stored_events
 WHERE event_type IN ('job.removed', 'archive.streams_archived') AND event_type = 'archive.streams_archived'
   AND notification_id > (SELECT done FROM archive_state)
 ORDER BY notification_id LIMIT 1
"""
FORGET = "DELETE FROM stored_events WHERE originator_id = ANY ($1::text[]) AND originator_version > 1"
FORGET_SNAPSHOTS = "DELETE FROM snapshots WHERE originator_id = ANY ($1::text[])"
# The first version stays, so that no command that created the stream can do so again.
MARK = """
UPDATE stored_events
   SET topic = $2, event_type = $2, state = $3, correlation_id = NULL, causation_id = NULL, metadata = NULL
 WHERE originator_id = ANY ($1::text[]) AND originator_version = 1
"""
DONE = "UPDATE archive_state SET mark = greatest(mark, $1), done = $2"


class PostgresArchivableLog:
    """Implements `domain.archive.ArchivableLog`."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], mapper: EventMapper) -> None:
        self._pool, self._mapper = pool, mapper

    @translated
    async def candidates(self, age: float, limit: int) -> list[StreamName]:
        rows = await self._pool.fetch(CANDIDATES, age, limit)
        return [StreamName(row["kind"], row["tenant"], row["subject"]) for row in rows]

    @translated
    async def moving(self, streams: Sequence[StreamName]) -> Moving:
        sizes = {row["originator_id"]: row for row in await self._pool.fetch(SIZES, [s.text for s in streams])}
        chosen: list[StreamName] = []
        events = size = 0
        for stream in streams:
            events += sizes[stream.text]["events"]
            size += sizes[stream.text]["bytes"]
            if chosen and (events > OBJECT_EVENTS or size > OBJECT_BYTES):
                break
            chosen.append(stream)
        rows = await self._pool.fetch(ROWS, [stream.text for stream in chosen])
        positions = [row["position"] for row in rows]
        return Moving(chosen, [row["line"] for row in rows], min(positions), max(positions))

    @translated
    async def forget(self) -> int:
        forgotten = 0
        while (row := await self._pool.fetchrow(RECORDED)) is not None:
            event = self._mapper.to_domain_event(
                StoredEvent(row["originator_id"], row["originator_version"], row["topic"], row["state"])
            )
            assert isinstance(event, StreamsArchived)
            streams = [StreamName(event.kind, row["tenant"], id).text for id in event.ids]
            mark = StreamArchived(streams[0], 1, event.timestamp, event.object, event.sha256, event.size)
            stored = self._mapper.to_stored_event(mark)
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(FORGET, streams)
                await connection.execute(FORGET_SNAPSHOTS, streams)
                await connection.execute(MARK, streams, stored.topic, stored.state)
                await connection.execute(DONE, event.last, row["notification_id"])
            forgotten += len(streams)
        return forgotten
