"""Several writers on one database: no hole, no inversion, whatever becomes of a transaction."""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest

from adapters.postgres.database import Database
from domain.ports import Appended, Duplicate, RecordedEvent, StoreUnavailable
from infra.storage import Storage
from tests.support.eventually import eventually
from tests.support.stores import append, storing

ROOT = Path(__file__).resolve().parents[3]
WRITER = Path(__file__).with_name("writer.py")
WRITERS, STREAMS, EVENTS = 4, 5, 30
BACKENDS = (
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'millrace-append' AND datname = current_database()"
)


async def tail(storage: Storage, count: int) -> list[RecordedEvent]:
    """Follows the log as a subscriber does: pages after the last position seen, woken by the doorbell."""
    seen: list[RecordedEvent] = []
    while len(seen) < count:
        position = seen[-1].position if seen else 0
        page = await storage.store.read(position, 7)
        seen += page
        if not page:
            await storage.doorbell.wait(position, 0.2)
    return seen


def check(seen: list[RecordedEvent]) -> None:
    """Positions are dense, and each stream's versions come in order."""
    assert [event.position for event in seen] == list(range(1, len(seen) + 1))
    versions: dict[str, list[int]] = defaultdict(list)
    for event in seen:
        versions[event.stream.text].append(event.version)
    assert all(found == list(range(1, len(found) + 1)) for found in versions.values())


async def test_a_reader_of_four_writers_sees_every_event_once_in_order(dsn: str, storage: Storage) -> None:
    async def write(writer: Storage, number: int) -> None:
        async def one(stream: str) -> None:
            for version in range(EVENTS):
                assert isinstance((await writer.store.append([append(stream, after=version)]))[0], Appended)

        await asyncio.gather(*(one(f"w{number}-{stream}") for stream in range(STREAMS)))

    async with AsyncExitStack() as stack, asyncio.timeout(60):
        writers = [await stack.enter_async_context(storing(dsn)) for _ in range(WRITERS)]
        reading = asyncio.create_task(tail(storage, WRITERS * STREAMS * EVENTS))
        await asyncio.gather(*(write(writer, number) for number, writer in enumerate(writers)))
        check(await reading)


async def writing(dsn: str, stream: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, str(WRITER), dsn, stream, stdout=asyncio.subprocess.PIPE, env={"PYTHONPATH": str(ROOT)}
    )


async def test_writer_processes_that_are_killed_leave_no_hole(dsn: str, storage: Storage) -> None:
    """Processes of their own, two of them killed while they write; what they said was stored is there."""
    children = [await writing(dsn, f"p{number}") for number in range(3)]
    try:
        await eventually(storage.store.head, lambda head: head >= 300, seconds=40)
        for child in children[:2]:
            child.kill()
        head = await storage.store.head()
        await eventually(storage.store.head, lambda now: now >= head + 100, seconds=20)
    finally:
        for child in children:
            if child.returncode is None:
                child.kill()
    told = [(await child.communicate())[0].decode() for child in children]
    said = [int(text.rpartition("\n")[0].rpartition("\n")[2] or 0) for text in told]
    seen = await storage.store.read(0, 100_000)
    check(seen)
    for number, acknowledged in enumerate(said):
        assert sum(event.stream.id == f"p{number}" for event in seen) >= acknowledged


async def test_a_transaction_that_is_rolled_back_leaves_no_hole(dsn: str, storage: Storage) -> None:
    await storage.store.append([append("a")])
    other = await Database(dsn).connect_writer()
    transaction = other.transaction()
    await transaction.start()
    await other.execute("SELECT pg_advisory_xact_lock(7270501)")
    await other.execute("UPDATE store SET head = head + 17")
    appending = asyncio.create_task(storage.store.append([append("b")]))
    await transaction.rollback()
    await other.close()
    assert await appending == [Appended(2)]
    check(await storage.store.read(0, 10))


async def test_a_writer_that_holds_the_lock_too_long_costs_the_others_two_seconds_each_at_most(
    dsn: str, storage: Storage, connection: asyncpg.Connection
) -> None:
    await connection.execute("SELECT pg_advisory_lock(7270501)")
    loop = asyncio.get_running_loop()
    begun = loop.time()
    appends = (storage.store.append([append(f"s-{number}")]) for number in range(100))
    outcomes = await asyncio.gather(*appends, return_exceptions=True)
    assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
    assert loop.time() - begun < 20
    await connection.execute("SELECT pg_advisory_unlock(7270501)")
    assert await storage.store.append([append("a")]) == [Appended(1)]


@pytest.mark.parametrize("committed", [False, True], ids=["before the commit", "after the commit"])
async def test_an_append_whose_backend_is_killed_has_one_effect_once_repeated(
    dsn: str, storage: Storage, connection: asyncpg.Connection, committed: bool
) -> None:
    """The writer is stopped in front of the lock, so that it is certain when its backend is killed."""
    await storage.store.append([append("first")])
    if committed:
        await storage.store.append([append("a", command="m-1")])
    await connection.execute("SELECT pg_advisory_lock(7270501)")
    appending = asyncio.create_task(storage.store.append([append("a", after=int(committed), command="m-1")]))
    waiting = f"{BACKENDS} AND wait_event_type = 'Lock'"
    pid = await eventually(lambda: connection.fetchval(waiting), seconds=1.5)
    await connection.execute("SELECT pg_terminate_backend($1)", pid)
    with pytest.raises(StoreUnavailable):
        await appending
    await connection.execute("SELECT pg_advisory_unlock(7270501)")
    (repeated,) = await storage.store.append([append("a", after=int(committed), command="m-1")])
    assert isinstance(repeated, Duplicate if committed else Appended)
    seen = await storage.store.read(0, 10)
    assert [event.stream.id for event in seen] == ["first", "a"]
    check(seen)


async def test_appends_go_on_while_backends_are_killed_again_and_again(
    storage: Storage, connection: asyncpg.Connection
) -> None:
    stored = asyncio.Event()

    async def persist(number: int) -> None:
        for version in range(10):
            command = f"m-{number}-{version}"
            outcome = None
            while outcome is None:
                try:
                    (outcome,) = await storage.store.append([append(f"s-{number}", after=version, command=command)])
                except StoreUnavailable:
                    await asyncio.sleep(0)
            assert isinstance(outcome, Appended | Duplicate)
            stored.set()

    async def nemesis() -> None:
        while True:
            stored.clear()
            await connection.execute(f"SELECT pg_terminate_backend(pid) FROM ({BACKENDS}) AS b")
            # On a busy machine nothing would ever be stored between two kills that only wait for a while.
            await stored.wait()

    killing = asyncio.create_task(nemesis())
    try:
        async with asyncio.timeout(120):
            await asyncio.gather(*(persist(number) for number in range(20)))
    finally:
        killing.cancel()
        await asyncio.wait({killing})
    seen = await storage.store.read(0, 1_000)
    assert len(seen) == 200
    check(seen)
