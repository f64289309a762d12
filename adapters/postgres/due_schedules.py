"""Which schedules are due: one look into an index of the read model, by the database's clock."""

from __future__ import annotations

import asyncpg

from adapters.postgres.errors import translated
from domain import job
from domain.ports import DueSchedule

# A job that a run has started but that is not in the log yet has not ended either.
DUE = f"""
SELECT s.tenant, s.company, s.name, s.next_due_at AS due_at, statement_timestamp() AS now, s.last_job_id,
       coalesce(l.unfinished, false) AS unfinished
  FROM schedules s
  LEFT JOIN LATERAL (
       SELECT NOT EXISTS (SELECT FROM stored_events WHERE originator_id = j.stream)
           OR EXISTS (SELECT FROM ready WHERE stream = j.stream)
           OR EXISTS (SELECT FROM waiting WHERE stream = j.stream)
           OR EXISTS (SELECT FROM leases WHERE stream = j.stream) AS unfinished
         FROM (SELECT '{job.KIND}:' || s.tenant || ':' || s.last_job_id AS stream) j
       ) l ON s.last_job_id IS NOT NULL AND s.overlap <> 'allow'
 WHERE s.next_due_at <= statement_timestamp() AND NOT (s.overlap = 'queue' AND coalesce(l.unfinished, false))
 ORDER BY s.next_due_at LIMIT $1
"""
NEXT_IN = "SELECT extract(epoch FROM min(next_due_at) - statement_timestamp())::float8 FROM schedules"


class PostgresDueSchedules:
    """Implements `domain.ports.DueSchedules`."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    @translated
    async def due(self, limit: int) -> list[DueSchedule]:
        return [DueSchedule(**row) for row in await self._pool.fetch(DUE, limit)]

    @translated
    async def next_in(self) -> float | None:
        seconds: float | None = await self._pool.fetchval(NEXT_IN)
        return seconds
