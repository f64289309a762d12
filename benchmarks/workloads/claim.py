"""A claim while many jobs that may not run stand before the one that may."""

from __future__ import annotations

import statistics
import time
from datetime import UTC, datetime, timedelta

import asyncpg
import uvloop

from benchmarks.arena import Contender, StepFailed
from benchmarks.options import Options
from benchmarks.servers import Servers
from benchmarks.workloads.history import TENANT, runnable, store, storing
from benchmarks.workloads.quantiles import quantile
from domain.ports import ClaimRequest

CLAIMS = 100


def claim(_: Contender, servers: Servers, options: Options) -> dict[str, float]:
    """Milliseconds from asking to the grant, with half of `blocked` delayed, half ready in a queue not asked for."""
    return uvloop.run(_measured(servers.database("claim"), options.blocked))


async def _measured(dsn: str, ahead: int) -> dict[str, float]:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("DROP SCHEMA public CASCADE")
        await connection.execute("CREATE SCHEMA public")
        async with storing(dsn) as storage:
            later = datetime.now(UTC) + timedelta(days=1)
            await store(storage, [runnable(f"delayed-{number}", run_at=later) for number in range(ahead // 2)])
            await store(storage, [runnable(f"other-{number}", queue="other") for number in range(ahead // 2)])
            await connection.execute("VACUUM ANALYZE")
            took = []
            for number in range(CLAIMS):
                await store(storage, [runnable(f"runnable-{number}")])
                start = time.perf_counter()
                granted = await storage.queue.claim(ClaimRequest(TENANT, "bench", ("bench",), 1, 5.0))
                took.append((time.perf_counter() - start) * 1e3)
                if [job.job_id for job in granted.jobs] != [f"runnable-{number}"]:
                    raise StepFailed(f"the claim got {granted.jobs}")
    finally:
        await connection.close()
    return {"claim_p50": statistics.median(took), "claim_p99": quantile(took, 0.99)}
