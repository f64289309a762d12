"""What a claim costs when far more jobs may not run than may."""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import dataclass
from typing import Any

import asyncpg

from adapters.postgres.database import Database
from millrace import Millrace

BLOCKED = 100_000
QUEUE = "runnable"
ROUNDS = 30
COLUMNS = "stream, tenant, job_id, queue, rank, position, version, attempt, task"
# Ahead in every respect: older, of a better rank; half not due yet, half in a queue that nobody works on.
FILL = f"""
INSERT INTO {{table}} ({COLUMNS}{{more}})
SELECT 'job:default:blocked-{{table}}-' || n, 'default', 'blocked-{{table}}-' || n, $1, -1000, n, 1, 1,
       '{{{{}}}}'{{value}}
  FROM generate_series(1, $2) AS n
"""
GRANT = f"""
SELECT * FROM serve_claims(ARRAY[ROW(1, 'default', ARRAY['{QUEUE}'], 1, 'explain', NULL, NULL)::claim_to_serve],
                           interval '5 s',
                           1000000, '00000000-0000-4000-8000-', 1)
"""
TOUCHED = """
SELECT sum(seq_tup_read + idx_tup_fetch) FROM pg_stat_xact_user_tables WHERE relname IN ('ready', 'waiting')
"""


@dataclass(frozen=True, slots=True)
class ClaimCost:
    """What was measured.

    Attributes:
        rows: of jobs that may run or wait, that the database read.
        buffers: pages that the statement looked at.
        milliseconds: of the statement in the database, and of a whole claim over HTTP, each a median.
    """

    rows: int
    buffers: int
    statement_milliseconds: float
    claim_milliseconds: float

    def __str__(self) -> str:
        return (
            f"{self.claim_milliseconds:.1f} ms over HTTP, {self.statement_milliseconds:.2f} ms in PostgreSQL,"
            f" {self.buffers} pages, {self.rows} rows of jobs"
        )


async def block(database: str, count: int = BLOCKED) -> None:
    """Puts jobs that may not run before whatever may, past the service: only the tables matter to a claim."""
    connection = await asyncpg.connect(database, timeout=5)
    try:
        half = count // 2
        await connection.execute(FILL.format(table="ready", more="", value=""), "nobody-works-here", half)
        later = ", clock_timestamp() + interval '1 day'"
        await connection.execute(FILL.format(table="waiting", more=", due_at", value=later), QUEUE, count - half)
        await connection.execute("ANALYZE ready, waiting")
    finally:
        await connection.close()


async def measured(database: str, client: Millrace) -> ClaimCost:
    """Claims one runnable job after another."""
    claims, statements, rows, buffers = [], [], 0, 0
    for number in range(ROUNDS):
        job = await client.jobs.enqueue("step", queue=QUEUE)
        if number % 2:
            touched, pages, took = await _looked_at(database)
            statements.append(took)
            rows, buffers = max(rows, touched), max(buffers, pages)
        began = time.perf_counter()
        body = {"worker": "measure", "queues": [QUEUE], "slots": 1, "wait": 5}
        grants = (await client.execute("job.claim", body)).result["grants"]
        claims.append((time.perf_counter() - began) * 1_000)
        assert [grant["job_id"] for grant in grants] == [job.id]
        await client.execute("job.report", {"job_id": job.id, "attempt": 1, "outcome": "completed"})
    return ClaimCost(rows, buffers, statistics.median(statements), statistics.median(claims))


async def _looked_at(database: str) -> tuple[int, int, float]:
    """Rows of jobs and pages that a grant reads, and its milliseconds; done for real as by the service, and undone."""
    connection = await Database(database).connect_writer()
    try:
        transaction = connection.transaction()
        await transaction.start()
        # Once before, as the service's own connection has: it has compiled the function and planned what is in it.
        warm = connection.transaction()
        await warm.start()
        await connection.execute(GRANT)
        await warm.rollback()
        before = await connection.fetchval(TOUCHED)
        text = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {GRANT}")
        rows = await connection.fetchval(TOUCHED) - before
        await transaction.rollback()
    finally:
        await connection.close()
    (explained,) = json.loads(text)
    plan: dict[str, Any] = explained["Plan"]
    return int(rows), plan["Shared Hit Blocks"] + plan["Shared Read Blocks"], explained["Execution Time"]
