"""Samples over PostgreSQL between processes that have no broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from adapters.contracts.samples import Ears, at
from adapters.postgres.database import Database
from adapters.postgres.samples import CHANNEL, PostgresSamples
from tests.support.eventually import eventually
from tests.support.running import until
from tests.support.samples import heard_once_by_all
from tests.support.systems import system

LISTENERS = """
SELECT pid FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%millrace_samples%'
"""


@asynccontextmanager
async def carrying(dsn: str, **options: float) -> AsyncIterator[tuple[PostgresSamples, Ears]]:
    """A process that carries samples, and a listener there."""
    samples, ears = PostgresSamples(Database(dsn).connect_follower, lambda: False, **options), Ears()  # type: ignore[arg-type]
    samples.listen(ears)
    running = asyncio.create_task(samples.run())
    try:
        await until(lambda: samples.connected)
        yield samples, ears
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_every_process_hears_the_others_once(database_url: str) -> None:
    async with carrying(database_url) as (first, here), carrying(database_url) as (second, there):
        await heard_once_by_all(first, here, second, there)


async def test_thousands_of_subjects_arrive_although_one_turn_has_no_room_for_them(database_url: str) -> None:
    async with carrying(database_url) as (first, _), carrying(database_url) as (_, there):
        sent = [at(number % 100, f"{'ü' * 150}-{number}") for number in range(3_000)]
        for sample in sent:
            first.emit(sample)
        await there.until(lambda heard: len(heard) == len(sent))
        assert there.heard == sent
        assert first.left_out == 0


async def test_what_cannot_be_carried_is_counted_and_holds_up_nothing(database_url: str) -> None:
    async with carrying(database_url) as (first, here), carrying(database_url) as (_, there):
        first.emit(at(1, "x" * 8_000))
        first.emit(at(1, "\ud800"))
        awkward = at(1, "'; NOTIFY millrace, '9'; -- \x00 \N{SNOWMAN}")
        first.emit(awkward)
        await there.until(lambda heard: heard == [awkward])
        await here.until(lambda heard: len(heard) == 3)
        assert first.left_out == 2


async def test_what_others_say_on_the_channel_is_passed_over(database_url: str) -> None:
    async with carrying(database_url) as (first, _), carrying(database_url) as (_, there):
        connection = await asyncpg.connect(database_url)
        try:
            for said in ("", "nobody", "nobody {}", 'nobody [["acme"]]', 'nobody [["acme", "t", "s", 5]]'):
                await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, said)
        finally:
            await connection.close()
        first.emit(at(7))
        await there.until(lambda heard: heard == [at(7)])


async def test_rings_keep_their_room_in_the_server_s_queue(database_url: str) -> None:
    async with carrying(database_url, fullest=0.0) as (first, here), carrying(database_url) as (second, there):
        first.emit(at(1, "one"))
        await until(lambda: first.left_out == 1)
        second.emit(at(2, "two"))
        await here.until(lambda heard: heard == [at(1, "one"), at(2, "two")])
        assert there.heard == [at(2, "two")]


async def test_a_connection_that_breaks_loses_samples_at_most_and_comes_back(fresh_database_url: str) -> None:
    async with carrying(fresh_database_url) as (first, here), carrying(fresh_database_url) as (_, there):
        connection = await asyncpg.connect(fresh_database_url)
        try:
            before = {row["pid"] for row in await connection.fetch(LISTENERS)}
            assert len(before) == 2
            await connection.execute("SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid", list(before))

            first.emit(at(1))
            await here.until(lambda heard: heard == [at(1)])
            await eventually(
                lambda: connection.fetch(LISTENERS), lambda found: len({row["pid"] for row in found} - before) == 2
            )

            async def told() -> bool:
                first.emit(at(2))
                return at(2) in there.heard

            await eventually(told)
        finally:
            await connection.close()


async def test_who_is_alone_has_no_connection_for_samples_until_another_comes(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as first:
        connection = await asyncpg.connect(fresh_database_url)
        try:
            assert isinstance(first.samples, PostgresSamples)
            shared = first.samples
            assert not shared.connected
            assert await connection.fetch(LISTENERS) == []
            async with system(fresh_database_url, ["api"]) as second:
                assert isinstance(second.samples, PostgresSamples)
                other = second.samples
                await until(lambda: shared.connected and other.connected, 30)
                ears = Ears()
                second.samples.listen(ears)
                first.samples.emit(at(5))
                await ears.until(lambda heard: heard == [at(5)])
        finally:
            await connection.close()
