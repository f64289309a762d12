"""The bench's own PostgreSQL dies, freezes and recovers as a real one does."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import asyncpg
import psutil
import pytest

from tests.faults.harness.bench import Bench
from tests.faults.harness.postgres import UNAVAILABLE, Postgres
from tests.faults.harness.waiting import until

WRITE = "INSERT INTO notes VALUES ($1)"


async def noted(server: Postgres) -> list[str]:
    connection = await asyncpg.connect(server.url, timeout=5)
    try:
        return [row["text"] for row in await connection.fetch("SELECT text FROM notes ORDER BY text")]
    finally:
        await connection.close()


async def write(server: Postgres, text: str) -> None:
    connection = await asyncpg.connect(server.url, timeout=5)
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS notes (text text)")
        await connection.execute(WRITE, text)
    finally:
        await connection.close()


def users_of(folder: Path) -> list[int]:
    """Processes that were started for a data folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if str(folder) in (process.info["cmdline"] or []):
            found.append(process.pid)
    return found


async def test_it_comes_back_from_kills_and_immediate_shutdowns_with_all_that_was_committed(run: Bench) -> None:
    server = await run.start(Postgres(run.folder))
    url = await server.create_database("other")
    await (await asyncpg.connect(url)).close()
    await write(server, "a")
    held = await asyncpg.connect(server.url)
    family = psutil.Process(server.pid).children()
    assert users_of(server.data)
    await server.kill()
    assert not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in family)
    assert not users_of(server.data)
    with pytest.raises(UNAVAILABLE):
        await held.fetchval("SELECT 1")
    await server.start()
    await write(server, "b")
    await server.stop(signal.SIGQUIT)
    await server.start()
    assert await noted(server) == ["a", "b"]


async def test_a_killed_session_takes_all_others_with_it_and_the_server_recovers(run: Bench) -> None:
    server = await run.start(Postgres(run.folder))
    await write(server, "a")
    first, second = [await asyncpg.connect(server.url) for _ in range(2)]
    pid = await first.fetchval("SELECT pg_backend_pid()")
    assert pid in server.backend_pids()
    assert len(server.backend_pids()) == 2
    before = server.pid
    assert await server.kill_backend(pid) == pid
    for connection in (first, second):
        with pytest.raises(UNAVAILABLE):
            await connection.fetchval("SELECT pg_sleep(10)")
    await until(server.answers, 20, "the server has recovered")
    assert (await noted(server), server.pid) == (["a"], before)


async def test_a_frozen_server_keeps_its_connections_and_says_nothing(run: Bench) -> None:
    server = await run.start(Postgres(run.folder))
    connection = await asyncpg.connect(server.url)
    server.freeze()
    asking = asyncio.create_task(connection.fetchval("SELECT 1"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await asyncio.shield(asking)
    server.thaw()
    assert await asking == 1
    await connection.close()
