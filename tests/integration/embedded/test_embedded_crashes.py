"""The embedded PostgreSQL when its owner or the server itself is killed."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import asyncpg
import psutil

from infra.embedded_postgres import EmbeddedPostgres
from tests.integration.embedded.support import (
    owned_by_child,
    read_until,
    remaining,
    running,
)


async def test_killing_the_owner_ends_the_server_and_loses_no_acknowledged_row(data: Path) -> None:
    async with owned_by_child(data) as (child, server_pid):
        last = await read_until(child, 200)
        child.kill()
        last = await remaining(child, last)
        async with running(data) as (server, connection):
            assert server.pid != server_pid
            assert not psutil.pid_exists(server_pid) or psutil.Process(server_pid).status() == psutil.STATUS_ZOMBIE
            numbers = [row["n"] for row in await connection.fetch("select n from acknowledged order by n")]
    assert numbers[:last] == list(range(1, last + 1))


async def test_killing_owner_and_server_together_loses_no_acknowledged_row(data: Path) -> None:
    async with owned_by_child(data) as (child, server_pid):
        last = await read_until(child, 200)
        os.kill(server_pid, signal.SIGKILL)
        child.kill()
        last = await remaining(child, last)
        async with running(data) as (_, connection):
            numbers = [row["n"] for row in await connection.fetch("select n from acknowledged order by n")]
    assert numbers[:last] == list(range(1, last + 1))


async def test_a_server_that_outlived_its_owner_is_stopped_before_the_next_one_starts(data: Path) -> None:
    async with owned_by_child(data) as (child, server_pid):
        await read_until(child, 1)
        os.kill(server_pid, signal.SIGSTOP)
        child.kill()
        await child.wait()
        assert psutil.Process(server_pid).status() == psutil.STATUS_STOPPED
        server = EmbeddedPostgres(data)
        starting = asyncio.create_task(server.start())
        os.kill(server_pid, signal.SIGCONT)
        await starting
        assert server.pid not in (None, server_pid)
        await server.stop()


async def test_a_stale_pid_file_that_names_a_living_stranger_is_ignored(data: Path) -> None:
    async with running(data):
        lines = (data / "postgres" / "postmaster.pid").read_text().splitlines()
    (data / "postgres" / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    async with running(data) as (_, connection):
        assert await connection.fetchval("select 1") == 1


async def test_the_owner_notices_that_the_server_ended_and_starts_it_again_on_the_same_dsn(data: Path) -> None:
    server = EmbeddedPostgres(data)
    dsn = await server.start()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    assert await server.wait() == -signal.SIGKILL
    assert not server.running
    assert await server.start() == dsn
    connection = await asyncpg.connect(dsn)
    assert await connection.fetchval("select 1") == 1
    await connection.close()
    await server.stop()


async def test_an_interrupted_first_start_is_begun_again(data: Path) -> None:
    (data / "postgres.new" / "base").mkdir(parents=True)
    async with running(data) as (_, connection):
        assert await connection.fetchval("select 1") == 1
    assert not (data / "postgres.new").exists()
