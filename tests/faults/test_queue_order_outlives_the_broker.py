"""Consumers of subscriptions' queues come back the moment a killed broker answers again, and see all in order."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import aio_pika
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError

from adapters.amqp import declaration
from adapters.amqp.topology import subscription_queue
from tests.faults.harness.bench import Bench
from tests.faults.harness.rabbitmq import RabbitMQ
from tests.faults.harness.waiting import until

QUEUES = [subscription_queue("acme", f"orders-{number}") for number in range(4)]
EVENTS = [str(number) for number in range(600)]
IN_FLIGHT = 200
BACK_SECONDS = 30.0
GONE = (OSError, AMQPError, TimeoutError, RuntimeError, asyncio.CancelledError)


async def filled(node: RabbitMQ) -> None:
    async with await aio_pika.connect(node.url) as connection, connection.channel() as channel:
        for queue in QUEUES:
            await declaration.declare_queue(connection, queue)
            messages = [aio_pika.Message(b"", message_id=event, delivery_mode=2) for event in EVENTS]
            await asyncio.gather(*(channel.default_exchange.publish(each, queue.name) for each in messages))


async def consuming(url: str, queue: str, seen: list[str], *, acknowledges: bool) -> AbstractConnection:
    """A connection whose consumer notes what comes from the queue; raises one of `GONE` where there is no broker."""

    async def note(message: AbstractIncomingMessage) -> None:
        seen.append(message.message_id or "")
        if acknowledges:
            await message.ack()

    connection = await aio_pika.connect(url, timeout=5)
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=IN_FLIGHT)
    await (await channel.get_queue(queue)).consume(note)
    return connection


async def back(url: str, queue: str, seen: list[str]) -> AbstractConnection:
    async with asyncio.timeout(BACK_SECONDS):
        while True:
            with suppress(*GONE):
                return await consuming(url, queue, seen, acknowledges=True)
            await asyncio.sleep(0.02)


async def test_what_was_on_its_way_when_the_broker_was_killed_comes_before_later_events(run: Bench) -> None:
    node = await run.start(RabbitMQ(run.folder))
    await filled(node)
    # RabbitMQ 3.10 may lose a quorum queue for good that is killed within seconds of its declaration.
    await node.stop()
    await node.start()
    held: dict[str, list[str]] = {queue.name: [] for queue in QUEUES}
    for name, seen in held.items():
        await consuming(node.url, name, seen, acknowledges=False)
    await until(lambda: all(len(seen) == IN_FLIGHT for seen in held.values()), 20, "every consumer holds its share")
    await node.kill()
    after: dict[str, list[str]] = {queue.name: [] for queue in QUEUES}
    # Already asking when the node opens its door: its queues have not yet heard then that their consumers are dead.
    coming = [asyncio.create_task(back(node.url, name, seen)) for name, seen in after.items()]
    await node.start()
    connections = await asyncio.gather(*coming)
    await until(lambda: all(len(set(seen)) == len(EVENTS) for seen in after.values()), 30, "everything has come")
    for connection in connections:
        await connection.close()
    assert {name: list(dict.fromkeys(seen)) for name, seen in after.items()} == dict.fromkeys(after, EVENTS)
