"""RabbitMQ on a disk that loses its power or runs full: which queues keep what was confirmed, and when it says nothing.

The classic queue is the known bad one: were it to keep everything, the cut would not be one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aio_pika
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError

from tests.faults.harness import volume
from tests.faults.harness.bench import Bench
from tests.faults.harness.rabbitmq import RabbitMQ
from tests.faults.harness.volume import MEGABYTE, Volume
from tests.faults.harness.waiting import until

CONFIRMED = 3_000
IN_FLIGHT = 200
ANSWER_SECONDS = 1.5
# The library cancels what waits for a connection that has gone.
GONE = (AMQPError, ChannelInvalidStateError, OSError, asyncio.CancelledError)
QUORUM: dict[str, Any] = {"x-queue-type": "quorum"}
CLASSIC: dict[str, Any] = {"x-queue-type": "classic", "x-queue-version": 2}

pytestmark = [pytest.mark.soak]


@pytest_asyncio.fixture
async def disk(passable: Path) -> AsyncIterator[Volume]:
    if reason := volume.unavailable():
        pytest.skip(reason)
    made = Volume(passable)
    try:
        yield await made.start()
    finally:
        await made.close()


async def publish_until_cut(url: str, confirmed: set[str]) -> None:
    """Publishes persistent messages and notes each that the broker has confirmed, until the connection is gone."""
    connection = await aio_pika.connect(url)
    channel = await connection.channel(publisher_confirms=True)

    async def sender(number: int) -> None:
        with suppress(*GONE):
            for count in range(1_000_000):
                name = f"{number}-{count}"
                message = aio_pika.Message(b"x" * 500, message_id=name, delivery_mode=2)
                await channel.default_exchange.publish(message, "promises")
                confirmed.add(name)

    try:
        await asyncio.gather(*(sender(number) for number in range(IN_FLIGHT)))
    finally:
        with suppress(*GONE):
            await connection.close()


async def everything_in(channel: AbstractChannel, name: str) -> set[str]:
    """The ids of all messages: those that come before one that is published now."""
    await channel.set_qos(prefetch_count=1_000)
    last = aio_pika.Message(b"", message_id="last", delivery_mode=2)
    await channel.default_exchange.publish(last, name)
    found = set[str]()
    queue = await channel.get_queue(name, ensure=False)
    async with queue.iterator(no_ack=True) as messages:
        async for message in messages:
            if message.message_id == "last":
                break
            found.add(str(message.message_id))
    return found


@pytest.mark.parametrize(("arguments", "keeps"), [(QUORUM, True), (CLASSIC, False)], ids=["quorum", "classic"])
async def test_a_power_cut_costs_confirmed_messages_only_where_they_are_not_fsynced(
    disk: Volume, run: Bench, arguments: dict[str, Any], keeps: bool
) -> None:
    node = await run.start(RabbitMQ(run.folder, data=disk.path / "rabbitmq"))
    connection = await aio_pika.connect(node.url)
    channel = await connection.channel()
    await channel.declare_queue("promises", durable=True, arguments=arguments)
    await connection.close()
    disk.flush()
    confirmed: set[str] = set()
    publishing = asyncio.create_task(publish_until_cut(node.url, confirmed))
    await until(lambda: len(confirmed) >= CONFIRMED, 30, f"{CONFIRMED} messages are confirmed")
    disk.power_cut()
    # what is confirmed later was not, to anybody who counts on the disk
    promised = set(confirmed)
    await node.kill()
    await publishing
    await disk.restore()
    await node.start()
    connection = await aio_pika.connect(node.url)
    kept = await everything_in(await connection.channel(), "promises")
    await connection.close()
    lost = promised - kept
    print(f"{len(lost)} of {len(promised)} confirmed messages are lost")
    assert not lost if keeps else lost


async def test_a_full_disk_makes_the_broker_say_nothing_and_space_makes_it_go_on(disk: Volume, run: Bench) -> None:
    node = await run.start(RabbitMQ(run.folder, data=disk.path / "rabbitmq"))
    connection = await aio_pika.connect(node.url)
    channel = await connection.channel(publisher_confirms=True)
    await channel.declare_queue("promises", durable=True, arguments=QUORUM)

    async def confirms() -> bool:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await channel.default_exchange.publish(aio_pika.Message(b"x", delivery_mode=2), "promises")
        except TimeoutError:
            return False
        return True

    async def silent() -> bool:
        await asyncio.sleep(0.1)
        return not await confirms()

    assert await confirms()
    disk.fill(leave=10 * MEGABYTE)
    await until(silent, 40, "the broker takes no more messages")
    disk.free()
    await until(confirms, 40, "the broker takes messages again")
    await connection.close()
