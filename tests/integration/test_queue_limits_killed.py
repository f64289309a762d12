"""The counters of limits after processes that were killed at any moment."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from pathlib import Path

import asyncpg

from tests.integration.test_queue_limits import configured, exact
from tests.support.systems import batch, claimed, reported, system

ROOT = Path(__file__).parents[2]
PROGRAM = """
import asyncio, sys
from tests.support.systems import batch, claimed, reported, system

async def main():
    async with system(sys.argv[1], ["api", "timers"], unconfirmed=0.5) as side:
        print("up", flush=True)
        async def work(worker):
            for number in range(10_000):
                wishes = [{"name": "transcribe", "key": f"k-{n}"} for n in range(6)]
                await batch(side, "job.enqueue", wishes, f"{worker}-{number}")
                for grant in await claimed(side, slots=4, worker=worker, wait=0.2):
                    await reported(side, grant)
        await asyncio.gather(*(work(f"{sys.argv[2]}-{n}") for n in range(4)))

asyncio.run(main())
"""
UNFINISHED = """
SELECT (SELECT count(*) FROM ready) + (SELECT count(*) FROM waiting) + (SELECT count(*) FROM leases)
"""
KILLS = 6


async def test_counters_agree_with_the_rows_after_processes_were_killed(fresh_database_url: str) -> None:
    draw = random.Random(11)
    async with system(fresh_database_url, unconfirmed=0.5) as side:
        await configured(side, concurrency=5, per_key={"concurrency": 2}, rate={"limit": 400})
        connection = await asyncpg.connect(fresh_database_url)
        try:
            for number in range(KILLS):
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-c", PROGRAM, fresh_database_url, f"p{number}",
                    cwd=ROOT, stdout=asyncio.subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)},
                )  # fmt: skip
                assert process.stdout is not None
                async with asyncio.timeout(60):
                    while b"up" not in await process.stdout.readline():
                        pass
                before = await connection.fetchval("SELECT head FROM store")
                async with asyncio.timeout(60):
                    # A moment in the middle of its work: told by the log, drawn by chance.
                    goal = before + draw.randrange(20, 200)
                    while await connection.fetchval("SELECT head FROM store") < goal:
                        await exact(connection)
                process.send_signal(signal.SIGKILL)
                await process.wait()
                await exact(connection)
            async with asyncio.timeout(60):
                while await connection.fetchval(UNFINISHED):
                    for grant in await claimed(side, slots=10, wait=0.5):
                        await reported(side, grant)
            assert await exact(connection) == []
        finally:
            await connection.close()


async def test_the_check_finds_a_counter_that_is_wrong(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as side:
        await configured(side, concurrency=5)
        await batch(side, "job.enqueue", [{"name": "transcribe"}] * 9)
        connection = await asyncpg.connect(fresh_database_url)
        try:
            assert await exact(connection)
            await connection.execute("UPDATE queue_slots SET held = held + 1")
            try:
                await exact(connection)
            except AssertionError:
                return
            raise RuntimeError("a wrong counter was not found")
        finally:
            await connection.close()
