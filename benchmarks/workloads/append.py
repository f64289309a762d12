"""Appends by group commit, beside PostgreSQL's COPY of the very same rows."""

from __future__ import annotations

import statistics
import time

import asyncpg
import uvloop

from adapters.postgres.batch import MAX_EVENTS
from benchmarks.arena import Contender
from benchmarks.options import Options
from benchmarks.servers import Servers
from benchmarks.workloads.history import runnable, store, storing

ROUNDS = 3
TABLES = ("stored_events", "ready")
KEY = {"stored_events": "notification_id", "ready": "position"}


def append(_: Contender, servers: Servers, options: Options) -> dict[str, float]:
    """Events a second, each with its inline row of `ready`, and that as a part of COPY's rows of both tables."""
    return uvloop.run(_measured(servers.database("append"), options.events // ROUNDS))


async def _measured(dsn: str, count: int) -> dict[str, float]:
    appended, copied = [], []
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("DROP SCHEMA public CASCADE")
        await connection.execute("CREATE SCHEMA public")
        async with storing(dsn) as storage:
            for table in TABLES:
                await connection.execute(f"CREATE TABLE copy_{table} (LIKE {table} INCLUDING ALL)")
            for number in range(ROUNDS):
                appends = [runnable(f"r{number}-{job}") for job in range(count)]
                head, start = await storage.store.head(), time.perf_counter()
                await store(storage, appends)
                appended.append(count / (time.perf_counter() - start))
                copied.append(count / await _copy(connection, head))
    finally:
        await connection.close()
    ratios = [ours / theirs for ours, theirs in zip(appended, copied, strict=True)]
    return {
        "append": statistics.median(appended),
        "append_copy": statistics.median(copied),
        "append_ratio": statistics.median(ratios),
    }


async def _copy(connection: asyncpg.Connection, after: int) -> float:
    """Seconds that COPY takes for all rows after a position, in transactions as large as those of the appends."""
    pages = {}
    for table in TABLES:
        rows = await connection.fetch(f"SELECT * FROM {table} WHERE {KEY[table]} > $1 ORDER BY {KEY[table]}", after)
        records = [tuple(row) for row in rows]
        pages[table] = [records[first : first + MAX_EVENTS] for first in range(0, len(records), MAX_EVENTS)]
    start = time.perf_counter()
    for events, ready in zip(*pages.values(), strict=True):
        async with connection.transaction():
            await connection.copy_records_to_table("copy_stored_events", records=events)
            await connection.copy_records_to_table("copy_ready", records=ready)
    return time.perf_counter() - start
