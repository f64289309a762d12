"""Processes that are killed while they fight over keys and release children leave no key behind and lose no child."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import asyncpg

from millrace.contracts.wire import Refused
from tests.support.eventually import eventually
from tests.support.systems import claimed, context, executed, system

ROOT = Path(__file__).resolve().parents[2]
WRITER = Path(__file__).with_name("identity_writer.py")
# What the log says, without any table that is kept beside it.
LOG = """
WITH last AS (
    SELECT DISTINCT ON (originator_id) originator_id AS stream, event_type FROM stored_events
     WHERE kind = 'job' AND event_type IN ('job.enqueued', 'job.completed', 'job.dead_lettered', 'job.cancelled')
     ORDER BY originator_id, originator_version DESC)
SELECT e.originator_id AS stream, convert_from(e.state, 'UTF8')::json -> 'unique' ->> 'key' AS key,
       convert_from(e.state, 'UTF8')::json ->> 'batch' AS batch, last.event_type,
       last.event_type = 'job.enqueued' AS unfinished
  FROM stored_events e JOIN last ON last.stream = e.originator_id WHERE e.event_type = 'job.enqueued'
"""
BATCHES = "SELECT id, total, open, completed, failed, cancelled FROM batches WHERE total > 0"
STRAYS = """
SELECT count(*) FROM dependents p WHERE NOT EXISTS (SELECT FROM dependencies d WHERE d.child = p.stream)
UNION ALL
SELECT count(*) FROM dependencies d WHERE NOT EXISTS (SELECT FROM dependents p WHERE p.stream = d.child)
"""


async def writing(dsn: str, name: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, str(WRITER), dsn, name, stdout=asyncio.subprocess.PIPE, env={"PYTHONPATH": str(ROOT)}
    )


async def went_round(child: asyncio.subprocess.Process, turns: int) -> None:
    assert child.stdout is not None
    while line := await child.stdout.readline():
        if line.strip().isdigit() and int(line) >= turns:
            return
    raise AssertionError(f"the writer ended with {await child.wait()}")


async def check(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Each key that is taken belongs to the one unfinished job that has it, every such job has its own, no child waits
    for nothing, and every batch has counted what the log says."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        jobs = await connection.fetch(LOG)
        taken = {row["key"]: row["stream"] for row in await connection.fetch("SELECT key, stream FROM unique_keys")}
        batches = [tuple(row) for row in await connection.fetch(BATCHES)]
        strays = [row["count"] for row in await connection.fetch(STRAYS)]
    holders = [(row["key"], row["stream"]) for row in jobs if row["unfinished"] and row["key"] is not None]
    assert sorted(holders) == sorted(taken.items())
    assert strays == [0, 0]
    ends = ("job.enqueued", "job.completed", "job.dead_lettered", "job.cancelled")
    members: dict[str, list[str]] = {}
    for row in jobs:
        if row["batch"] is not None:
            members.setdefault(row["batch"], []).append(row["event_type"])
    counted = [(batch, len(types), *(types.count(end) for end in ends)) for batch, types in members.items()]
    assert sorted(counted) == sorted(batches)


async def test_keys_children_and_batches_survive_killed_processes(fresh_database_url: str) -> None:
    connection: Any = await asyncpg.connect(fresh_database_url)
    children = [await writing(fresh_database_url, f"p{number}") for number in range(2)]
    try:
        async with asyncio.timeout(60):
            for number in range(4):
                child = children.pop(0)
                await went_round(child, 5)
                child.kill()
                await child.wait()
                await check(connection)
                children.append(await writing(fresh_database_url, f"q{number}"))
    finally:
        for child in children:
            child.kill()
            await child.wait()
    async with system(fresh_database_url, unconfirmed=0.2, lease=1.0) as running:

        async def unfinished() -> int:
            for grant in await claimed(running, slots=100):
                ended = {"job_id": grant["job_id"], "attempt": grant["attempt"], "outcome": "completed"}
                reply = await executed(running, "job.report", ended, context())
                # Where the lease has lapsed meanwhile, another attempt ends it.
                assert not isinstance(reply, Refused) or reply.problem.code == "stale-attempt", reply
            return sum(row["unfinished"] for row in await connection.fetch(LOG))

        # Whatever was accepted comes to its end: no child was forgotten.
        await eventually(unfinished, lambda left: left == 0, seconds=60)
        await check(connection)
        sealed = "SELECT count(*) FROM batches WHERE is_sealed"
        told = "SELECT count(*) FROM stored_events WHERE event_type = 'batch.completed'"
        wanted = await connection.fetchval(sealed)
        assert wanted > 0
        await eventually(lambda: connection.fetchval(told), lambda found: found == wanted)
        called = "SELECT count(*) FROM jobs WHERE name = 'after'"
        await eventually(lambda: connection.fetchval(called), lambda found: found == wanted)
    await connection.close()
