"""The doorbell wakes whoever waits, in this process and in others; it carries no truth."""

from __future__ import annotations

import asyncio

import asyncpg

from infra.storage import Storage
from tests.support.eventually import eventually
from tests.support.stores import append, storing

LISTENERS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"


async def listening(connection: asyncpg.Connection, count: int) -> None:
    await eventually(lambda: connection.fetch(LISTENERS), lambda found: len(found) >= count)


async def test_an_append_wakes_who_waits_in_the_same_process(storage: Storage) -> None:
    waiting = asyncio.create_task(storage.doorbell.wait(0, 30))
    await storage.store.append([append("a")])
    assert await asyncio.wait_for(waiting, 5) == 1


async def test_an_append_wakes_who_waits_in_another_process(
    dsn: str, storage: Storage, connection: asyncpg.Connection
) -> None:
    async with storing(dsn) as other:
        await listening(connection, 2)
        waiting = asyncio.create_task(other.doorbell.wait(0, 30))
        await storage.store.append([append("a", events=3)])
        assert await asyncio.wait_for(waiting, 5) == 3


async def test_what_has_been_rung_already_is_not_waited_for(storage: Storage) -> None:
    await storage.store.append([append("a")])
    assert await storage.doorbell.wait(0, 30) == 1


async def test_a_doorbell_that_lost_its_connection_rings_again(
    dsn: str, storage: Storage, connection: asyncpg.Connection
) -> None:
    async with storing(dsn) as other:
        await listening(connection, 2)
        before = {row["pid"] for row in await connection.fetch(LISTENERS)}
        await connection.execute(f"SELECT pg_terminate_backend(pid) FROM ({LISTENERS}) AS listeners")
        await eventually(
            lambda: connection.fetch(LISTENERS), lambda found: len({row["pid"] for row in found} - before) == 2
        )
        waiting = asyncio.create_task(other.doorbell.wait(0, 30))
        await storage.store.append([append("a")])
        assert await asyncio.wait_for(waiting, 5) == 1
