"""What attempts have logged, in an operational table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg
from pydantic_core import from_json

from adapters.postgres.errors import translated
from adapters.postgres.log_queries import NoSuchAggregate
from domain.job import KIND
from domain.job_events import Removed, Started
from domain.ports import JobLine, StreamName
from millrace.contracts.job_logs import LINE_BYTES, MAX_BYTES, MAX_LINES

# An attempt that never was gets no lines: nobody can fill the table for a job but who runs it.
APPEND = """
WITH given AS (
    SELECT * FROM unnest($2::text[], $3::text[], $4::int[], $5::int[], $6::timestamptz[], $7::text[], $8::text[],
                         $9::json[]) AS g(stream, job_id, attempt, n, at, level, message, fields)),
begun AS (
    SELECT s.stream, count(*) AS attempts FROM (SELECT DISTINCT stream FROM given) s
      JOIN stored_events e ON e.originator_id = s.stream AND e.topic = $10 GROUP BY s.stream)
INSERT INTO job_logs (tenant, job_id, attempt, n, at, level, message, fields)
SELECT $1, g.job_id, g.attempt, g.n, g.at, g.level, g.message, g.fields
  FROM given g JOIN begun b ON b.stream = g.stream AND g.attempt <= b.attempts
ON CONFLICT DO NOTHING
"""
TRIM = """
DELETE FROM job_logs l USING (
    SELECT job_id, attempt, n, row_number() OVER w AS rank,
           sum(octet_length(message) + octet_length(fields::text) + $4) OVER w AS size
      FROM job_logs WHERE tenant = $1 AND (job_id, attempt) IN (SELECT * FROM unnest($2::text[], $3::int[]))
    WINDOW w AS (PARTITION BY job_id, attempt ORDER BY n DESC)) AS o
 WHERE l.tenant = $1 AND l.job_id = o.job_id AND l.attempt = o.attempt AND l.n = o.n AND (o.rank > $5 OR o.size > $6)
"""
LAST_TOPIC = "SELECT topic FROM stored_events WHERE originator_id = $1 ORDER BY originator_version DESC LIMIT 1"
ATTEMPTS = "SELECT DISTINCT attempt FROM job_logs WHERE tenant = $1 AND job_id = $2 ORDER BY attempt"
LINES = """
SELECT n, at, level, message, fields::text AS fields FROM job_logs
 WHERE tenant = $1 AND job_id = $2 AND attempt = $3 ORDER BY n
"""


class PostgresJobLogs:
    """Implements `domain.ports.JobLogs` on the table `job_logs`."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    @translated
    async def append(self, tenant: str, lines: Sequence[JobLine]) -> int:
        rows = [(StreamName(KIND, tenant, line.job_id).text, *line) for line in lines]
        attempts = {(line.job_id, line.attempt) for line in lines}
        async with self._pool.acquire() as connection, connection.transaction():
            status = await connection.execute(APPEND, tenant, *zip(*rows, strict=True), Started.TOPIC)
            bounds = LINE_BYTES, MAX_LINES, MAX_BYTES
            await connection.execute(TRIM, tenant, *zip(*attempts, strict=True), *bounds)
        return int(status.rpartition(" ")[2])

    @translated
    async def read(self, tenant: str, job_id: str, attempt: int | None) -> dict[str, Any]:
        topic = await self._pool.fetchval(LAST_TOPIC, StreamName(KIND, tenant, job_id).text)
        if topic is None or topic == Removed.TOPIC:
            raise NoSuchAggregate(KIND, job_id)
        attempts = [row["attempt"] for row in await self._pool.fetch(ATTEMPTS, tenant, job_id)]
        wanted = attempt if attempt is not None else attempts[-1] if attempts else None
        rows = await self._pool.fetch(LINES, tenant, job_id, wanted) if wanted in attempts else []
        lines = [{**row, "fields": from_json(row["fields"])} for row in rows]
        dropped = lines[-1]["n"] - len(lines) if lines else 0
        return {"attempt": wanted, "lines": lines, "dropped": dropped, "attempts": attempts}
