"""What a claim costs when far more jobs may not run than may."""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg

from adapters.postgres.claims import GRANT_BYTES, PICK
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


@dataclass(frozen=True, slots=True)
class ClaimCost:
    """What was measured.

    Attributes:
        rows: the most that any step of the statement's plan touched.
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
            f" {self.buffers} pages, at most {self.rows} rows at once"
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
            plan, took = await _explained(database)
            statements.append(took)
            rows = max(rows, _most_rows(plan))
            buffers = max(buffers, plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
        began = time.perf_counter()
        body = {"worker": "measure", "queues": [QUEUE], "slots": 1, "wait": 5}
        grants = (await client.execute("job.claim", body)).result["grants"]
        claims.append((time.perf_counter() - began) * 1_000)
        assert [grant["job_id"] for grant in grants] == [job.id]
        await client.execute("job.report", {"job_id": job.id, "attempt": 1, "outcome": "completed"})
    return ClaimCost(rows, buffers, statistics.median(statements), statistics.median(claims))


async def _explained(database: str) -> tuple[dict[str, Any], float]:
    """The plan of the statement that picks, run for real and undone, and its milliseconds."""
    connection = await asyncpg.connect(database, timeout=5)
    try:
        transaction = connection.transaction()
        await transaction.start()
        text = await connection.fetchval(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {PICK}", "default", [QUEUE], 1, "explain", timedelta(seconds=5),
            GRANT_BYTES,
        )  # fmt: skip
        await transaction.rollback()
    finally:
        await connection.close()
    (explained,) = json.loads(text)
    return explained["Plan"], explained["Execution Time"]


def _most_rows(plan: dict[str, Any]) -> int:
    touched = int(plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * int(plan["Actual Loops"])
    return max([touched, *(_most_rows(child) for child in plan.get("Plans", ()))])
