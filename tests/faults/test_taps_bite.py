"""A process dies exactly where a tap says: at the server the deed is done or not, and the process never learns."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aio_pika
import asyncpg
import pytest
import pytest_asyncio

from millrace import Millrace
from tests.faults.harness.bench import Bench
from tests.faults.harness.forwarding import reset
from tests.faults.harness.postgres import Postgres
from tests.faults.harness.processes import Server, Service, Worker
from tests.faults.harness.rabbitmq import RabbitMQ
from tests.faults.harness.tap import Tap
from tests.faults.harness.tap_amqp import AmqpTap
from tests.faults.harness.tap_postgres import PostgresTap
from tests.faults.harness.waiting import until

INSERT = """
import asyncio, asyncpg, sys

async def main():
    connection = await asyncpg.connect(sys.argv[1])
    print("asking", flush=True)
    if sys.argv[2] == "alone":
        await connection.fetchval("INSERT INTO stored_events VALUES ($1) RETURNING n", 1)
    else:
        async with connection.transaction():
            await connection.fetchval("INSERT INTO stored_events VALUES ($1) RETURNING n", 1)
            print("inserted", flush=True)
    print("answered", flush=True)
    await connection.close()

asyncio.run(main())
"""
PUBLISH = """
import asyncio, aio_pika, sys

async def main():
    connection = await aio_pika.connect(sys.argv[1])
    channel = await connection.channel(publisher_confirms=True)
    exchange = await channel.get_exchange("millrace.events", ensure=False)
    print("asking", flush=True)
    await exchange.publish(aio_pika.Message(b"x" * 300_000, delivery_mode=2), "key")
    print("answered", flush=True)
    await connection.close()

asyncio.run(main())
"""
CONSUME = """
import asyncio, aio_pika, sys

async def main():
    connection = await aio_pika.connect(sys.argv[1])
    channel = await connection.channel()
    queue = await channel.get_queue("millrace.commands", ensure=False)
    async with queue.iterator() as messages:
        async for message in messages:
            print("delivered", flush=True)
            await message.ack()
            break
    await connection.close()

asyncio.run(main())
"""
# Nobody subscribes in that test; and of reports only those over `millrace.commands` are acknowledged.
OPTIONAL = {"feeder.before_publish", "feeder.after_publish_before_confirm", "report.before_ack"}
TABLE = "CREATE TABLE stored_events (n int)"


def program(folder: Path, text: str, *arguments: str) -> Server:
    return Server("program", [sys.executable, "-c", text, *arguments], folder, {})


async def rows(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM stored_events"))
    finally:
        await connection.close()


@pytest_asyncio.fixture
async def database(run: Bench, empty_database_url: str) -> AsyncIterator[tuple[str, PostgresTap]]:
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute(TABLE)
    await connection.close()
    tap = await PostgresTap(empty_database_url).start()
    yield empty_database_url, tap
    await tap.close()


@pytest_asyncio.fixture
async def broker(rabbitmq_url: str) -> AsyncIterator[tuple[aio_pika.abc.AbstractChannel, AmqpTap]]:
    connection = await aio_pika.connect(rabbitmq_url)
    channel = await connection.channel()
    exchange = await channel.declare_exchange("millrace.events", "topic", durable=True)
    for name in ("seen", "millrace.commands"):
        queue = await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
        await queue.purge()
        await queue.bind(exchange, "key" if name == "seen" else "*.job.report")
    tap = await AmqpTap(rabbitmq_url).start()
    yield channel, tap
    await tap.close()
    await connection.close()


@pytest.mark.parametrize("how", ["alone", "transaction"])
async def test_a_tap_that_is_not_armed_changes_nothing(run: Bench, database: tuple[str, PostgresTap], how: str) -> None:
    url, tap = database
    child = await run.start(program(run.folder, INSERT, tap.url(url), how))
    assert await child.ended(20) == 0
    assert "answered" in child.output()
    assert await rows(url) == 1
    assert tap.passed["append.before"] == tap.passed["append.after_commit_before_answer"] == 1
    assert tap.passed["append.before_commit"] == (how == "transaction")


@pytest.mark.parametrize(
    ("point", "how", "stored"),
    [
        ("append.before", "alone", 0),
        ("append.before", "transaction", 0),
        ("append.before_commit", "transaction", 0),
        ("append.after_commit_before_answer", "alone", 1),
        ("append.after_commit_before_answer", "transaction", 1),
    ],
)
async def test_a_writer_dies_before_its_commit_or_between_commit_and_answer(
    run: Bench, database: tuple[str, PostgresTap], point: str, how: str, stored: int
) -> None:
    url, tap = database
    child = program(run.folder, INSERT, tap.url(url), how)
    armed = tap.arm(point, child.kill)
    await run.start(child)
    await armed.hit()
    assert "asking" in child.output()
    assert "answered" not in child.output()
    assert ("inserted" in child.output()) == (point != "append.before" and how == "transaction")
    # sessions of the dead writer end first, so that what they did is decided
    await until(lambda: not tap.pairs, 10, "the writer's session has ended")
    assert await rows(url) == stored


async def waiting(channel: aio_pika.abc.AbstractChannel, name: str) -> int:
    queue = await channel.declare_queue(name, passive=True)
    return int(queue.declaration_result.message_count or 0)


@pytest.mark.parametrize(
    ("point", "stored"), [("relay.before_publish", 0), ("relay.after_publish_before_confirm", 1), (None, 1)]
)
async def test_a_publisher_dies_before_its_message_or_between_message_and_confirm(
    run: Bench, broker: tuple[aio_pika.abc.AbstractChannel, AmqpTap], rabbitmq_url: str, point: str | None, stored: int
) -> None:
    channel, tap = broker
    child = program(run.folder, PUBLISH, tap.url(rabbitmq_url))
    armed = tap.arm(point, child.kill) if point else None
    await run.start(child)
    if armed:
        await armed.hit()
    await child.ended(20)
    assert "asking" in child.output()
    assert ("answered" in child.output()) == (point is None)
    await until(lambda: not tap.pairs, 10, "the publisher's connection has ended")
    if stored:

        async def arrived() -> bool:
            return await waiting(channel, "seen") == stored

        await until(arrived, 10, "the message is in its queue")
    else:
        assert await waiting(channel, "seen") == 0


@pytest.mark.parametrize("kills", [True, False])
async def test_a_consumer_dies_before_its_acknowledgement(
    run: Bench, broker: tuple[aio_pika.abc.AbstractChannel, AmqpTap], rabbitmq_url: str, kills: bool
) -> None:
    channel, tap = broker
    exchange = await channel.get_exchange("millrace.events", ensure=False)
    await exchange.publish(aio_pika.Message(b"x", delivery_mode=2), "tenant.job.report")
    child = program(run.folder, CONSUME, tap.url(rabbitmq_url))
    armed = tap.arm("report.before_ack", child.kill) if kills else None
    await run.start(child)
    if armed:
        await armed.hit()
    await child.ended(20)
    assert "delivered" in child.output()
    await until(lambda: not tap.pairs, 10, "the consumer's connection has ended")
    if kills:

        async def back() -> bool:
            return await waiting(channel, "millrace.commands") == 1

        await until(back, 10, "the message is back in its queue")
    else:
        assert await waiting(channel, "millrace.commands") == 0


async def test_unknown_points_are_refused(run: Bench, database: tuple[str, PostgresTap]) -> None:
    _, tap = database
    with pytest.raises(ValueError, match="no point of"):
        tap.arm("append.afer", run.close)


async def test_an_action_is_finished_although_its_connection_ends_meanwhile(
    run: Bench, database: tuple[str, PostgresTap]
) -> None:
    url, tap = database
    # with an answer unread, as the kernel ends the connections of a process that was killed
    child = program(run.folder, INSERT, tap.url(url), "alone")

    async def kill_and_see() -> None:
        for pair in tap.pairs:
            reset(pair.client[1])
            pair.client[0].set_exception(ConnectionResetError())
        await until(lambda: not tap.pairs, 10, "the connection has ended")
        await child.kill()

    armed = tap.arm("append.after_commit_before_answer", kill_and_see)
    await run.start(child)
    await armed.hit(20)
    assert not child.running


async def test_what_an_action_raises_is_told(run: Bench, database: tuple[str, PostgresTap]) -> None:
    url, tap = database
    child = program(run.folder, INSERT, tap.url(url), "alone")

    async def fail() -> None:
        await child.kill()
        raise LookupError("nobody to kill")

    armed = tap.arm("append.before", fail)
    await run.start(child)
    with pytest.raises(LookupError, match="nobody to kill"):
        await armed.hit(20)


@pytest.mark.slow
async def test_a_service_and_a_worker_pass_every_point(run: Bench) -> None:
    server, rabbitmq = await run.start(Postgres(run.folder)), await run.start(RabbitMQ(run.folder))
    taps: list[Tap] = [PostgresTap(server.url), AmqpTap(rabbitmq.url), AmqpTap(rabbitmq.url)]
    for tap in taps:
        await tap.start()
    try:
        service = Service(
            run.folder, database=taps[0].url(server.url), broker=taps[1].url(rabbitmq.url), lease=3, unconfirmed=2
        )
        await run.start(service)
        await service.ready()
        await run.start(Worker(run.folder, taps[2].url(rabbitmq.url), run.runs))
        async with Millrace(taps[2].url(rabbitmq.url)) as client:
            await run.enqueue(client, 40, longest=2.0)
            # Pages of common events are written in one statement, which needs no commit of its own; failures are not.
            await run.enqueue(client, 4, name="fails-once", longest=0)
            await run.all_ended(client)
            await run.verdict(client)
        passed = taps[0].passed + taps[1].passed + taps[2].passed
        print(passed)
        assert (taps[0].points | taps[1].points) - OPTIONAL == passed.keys() - OPTIONAL
    finally:
        for tap in taps:
            await tap.close()
