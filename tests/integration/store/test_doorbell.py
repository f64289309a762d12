"""The doorbell wakes whoever waits, in this process and in others; it carries no truth."""

from __future__ import annotations

import asyncio

import asyncpg

from adapters.postgres.doorbell import PostgresDoorbell
from infra.storage import Storage
from tests.support.eventually import eventually
from tests.support.stores import append, storing

LISTENERS = """
SELECT pid FROM pg_stat_activity
 WHERE datname = current_database() AND (query LIKE 'LISTEN%' OR query LIKE 'SELECT pg_notify(%')
"""


async def acquainted(*storages: Storage) -> None:
    """Waits until each has heard of another."""

    async def strangers() -> int:
        return sum(each.doorbell.alone for each in storages)

    await eventually(strangers, lambda found: not found, seconds=30)


async def test_an_append_wakes_who_waits_in_the_same_process(storage: Storage) -> None:
    waiting = asyncio.create_task(storage.doorbell.wait(0, 30))
    await storage.store.append([append("a")])
    assert await asyncio.wait_for(waiting, 20) == 1


async def test_an_append_wakes_who_waits_in_another_process(
    dsn: str, storage: Storage, connection: asyncpg.Connection
) -> None:
    async with storing(dsn) as other:
        await acquainted(storage, other)
        waiting = asyncio.create_task(other.doorbell.wait(0, 30))
        await storage.store.append([append("a", events=3)])
        assert await asyncio.wait_for(waiting, 20) == 3


async def test_what_has_been_rung_already_is_not_waited_for(storage: Storage) -> None:
    await storage.store.append([append("a")])
    assert await storage.doorbell.wait(0, 30) == 1


async def test_a_doorbell_that_lost_its_connection_rings_again(
    dsn: str, storage: Storage, connection: asyncpg.Connection
) -> None:
    async with storing(dsn) as other:
        await acquainted(storage, other)
        before = {row["pid"] for row in await connection.fetch(LISTENERS)}
        await connection.execute(f"SELECT pg_terminate_backend(pid) FROM ({LISTENERS}) AS listeners")
        await eventually(
            lambda: connection.fetch(LISTENERS), lambda found: len({row["pid"] for row in found} - before) == 2
        )
        waiting = asyncio.create_task(other.doorbell.wait(0, 30))
        await storage.store.append([append("a")])
        assert await asyncio.wait_for(waiting, 20) == 1


async def test_who_is_alone_keeps_his_rings_to_himself_until_another_comes(dsn: str, storage: Storage) -> None:
    await storage.store.append([append("a")])
    assert storage.doorbell.alone
    async with storing(dsn) as other:
        await acquainted(storage, other)
        waiting = asyncio.create_task(other.doorbell.wait(1, 30))
        await storage.store.append([append("b")])
        assert await asyncio.wait_for(waiting, 20) == 2


async def test_who_comes_last_is_answered_by_those_who_know_each_other(dsn: str) -> None:
    # None of them says by itself that it is there: all that is heard is answers.
    doorbells = [
        PostgresDoorbell(lambda: asyncpg.connect(dsn), on_foreign_ring=lambda: None, sign_of_life=600) for _ in range(4)
    ]
    try:
        for last, doorbell in enumerate(doorbells):
            doorbell.start(0)
            if last:
                await eventually(lambda at=last: asyncio.sleep(0, doorbells[at].alone), lambda alone: not alone, 30)
    finally:
        await asyncio.gather(*(doorbell.stop() for doorbell in doorbells))


async def test_a_refused_notify_ends_one_connection_and_not_the_doorbell(
    dsn: str, storage: Storage, connection: asyncpg.Connection
) -> None:
    await connection.execute("""
        CREATE SCHEMA refusing;
        CREATE FUNCTION refusing.pg_notify(text, text) RETURNS void LANGUAGE plpgsql
            AS $$ BEGIN RAISE 'too many notifications in the NOTIFY queue' USING ERRCODE = '54000'; END $$;
    """)
    paths = iter(["refusing, pg_catalog", "public"])

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(dsn, server_settings={"search_path": next(paths)})

    doorbell = PostgresDoorbell(connect, on_foreign_ring=lambda: None)
    doorbell.start(0)
    try:
        waiting = asyncio.create_task(doorbell.wait(0, 30))
        await eventually(lambda: asyncio.sleep(0, doorbell.alone), lambda alone: not alone, seconds=30)
        await storage.store.append([append("a")])
        assert await asyncio.wait_for(waiting, 20) == 1
    finally:
        await doorbell.stop()
