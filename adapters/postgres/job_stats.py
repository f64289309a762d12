"""Answers `job.stats`: counts that are kept, and the figures of the newest starts and ends, read from the log."""

from __future__ import annotations

from collections import Counter
from typing import Any

import asyncpg
import structlog
from eventsourcing.persistence import StoredEvent

from adapters.postgres.errors import translated
from adapters.postgres.mapper import EventMapper
from handlers.routes import QueryRoute
from millrace.contracts import job as contract
from millrace.contracts.durations import ENDS, WINDOW, durations, waited
from millrace.contracts.job_fields import JobStatus
from millrace.contracts.wire import Context
from projections.jobs_queries import queue_counts, workers_at_work

log = structlog.get_logger("jobs")
READER = "jobs"
# The event before a start tells since when the job could run, the one before an end when it was started.
STEPS = """
SELECT e.event_type, e.recorded_at AS at, p.event_type AS before_type, p.recorded_at AS before,
       p.originator_id, p.originator_version, p.topic, CASE WHEN e.event_type = 'job.started' THEN p.state END AS state
  FROM stored_events e
  JOIN stored_events p ON p.originator_id = e.originator_id AND p.originator_version = e.originator_version - 1
 WHERE e.notification_id > (SELECT head FROM store) - $2 AND e.kind = 'job' AND e.tenant = $1
   AND (e.event_type = 'job.started' OR e.event_type = ANY ($3::text[]))
   AND ($4::text IS NULL OR EXISTS (SELECT FROM jobs j WHERE j.tenant = $1 AND j.id = e.subject AND j.queue = $4))
"""
# A job's place in the log is when it became ready, or was told to wait for its time.
OLDEST = """
SELECT r.queue, extract(epoch FROM clock_timestamp() - e.recorded_at)::float8 AS age
  FROM (SELECT queue, min(position) AS position FROM ready WHERE tenant = $1 GROUP BY queue) r
  JOIN stored_events e ON e.notification_id = r.position
"""

CIRCUITS = "SELECT name, state, reason, until FROM circuits WHERE tenant = $1 AND state <> 'closed' ORDER BY name"


class JobStatistics:
    """Answers `job.stats`."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], mapper: EventMapper, lease: float) -> None:
        self._pool, self._mapper, self._lease = pool, mapper, lease

    def routes(self) -> dict[str, QueryRoute]:
        return {"job.stats": QueryRoute(contract.JobStats, self._stats, READER)}

    @translated
    async def _stats(self, query: contract.JobStats, context: Context) -> dict[str, Any]:
        async with self._pool.acquire() as connection:
            counts = await queue_counts(connection, context.tenant, query.queue)
            every = sum(counts.values(), Counter[str]())
            stats: dict[str, Any] = {status.value: every[status.value] for status in JobStatus}
            stats["workers"] = await workers_at_work(connection, context.tenant, self._lease)
            if not query.details:
                return stats
            ages = {row["queue"]: row["age"] for row in await connection.fetch(OLDEST, context.tenant)}
            stats["circuits"] = [dict(row) for row in await connection.fetch(CIRCUITS, context.tenant)]
            steps = await connection.fetch(STEPS, context.tenant, WINDOW, list(ENDS), query.queue)
        names = sorted(ages.keys() | counts.keys()) if query.queue is None else [query.queue]
        stats["queues"] = [{"queue": name, **counts.get(name, {}), "oldest_waiting": ages.get(name)} for name in names]
        stats["oldest_waiting"] = max((ages[name] for name in names if name in ages), default=None)
        waits = [self._waited(row) for row in steps if row["event_type"] == "job.started"]
        stats["wait"] = durations([seconds for seconds in waits if seconds is not None])
        stats["unreadable"] = waits.count(None)
        ends = [row for row in steps if row["event_type"] in ENDS and row["before_type"] == "job.started"]
        stats["run"] = durations([(row["at"] - row["before"]).total_seconds() for row in ends])
        return stats

    def _waited(self, row: asyncpg.Record) -> float | None:
        """How many seconds the job of a start had waited for it; None where the event before it cannot be decoded."""
        stored = StoredEvent(row["originator_id"], row["originator_version"], row["topic"], row["state"])
        try:
            due = getattr(self._mapper.to_domain_event(stored), "run_at", None)
        except Exception as error:
            # One event that this release cannot decode must not cost the figures of all others.
            log.warning(
                "event unreadable",
                action="event_unreadable",
                query="job.stats",
                stream=row["originator_id"],
                version=row["originator_version"],
                error=repr(error),
            )
            return None
        return waited(row["at"], row["before"], due)
