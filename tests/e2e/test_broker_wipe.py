"""The broker is killed, or loses everything it has: commands go on over HTTP, and all the rest follows by itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aio_pika
import httpx
import pytest
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import ChannelNotFoundEntity

from adapters.amqp.topology import EVENTS_LOG
from millrace import Millrace
from millrace.testing.contracts.bench import head
from tests.support.broker import Node
from tests.support.running import Running, running, until

pytestmark = [pytest.mark.slow, pytest.mark.faults]
QUEUE = "millrace.sub.default.stock"
BACK_SECONDS = 30.0


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    node = Node(tmp_path)
    await node.start()
    yield node
    node.close()


async def command(client: httpx.AsyncClient, name: str, body: object) -> dict[str, Any]:
    reply: dict[str, Any] = (await client.post(f"/api/commands/{name}", json=body)).json()
    assert reply["ok"], reply
    return reply


async def enqueue(client: httpx.AsyncClient, count: int) -> list[str]:
    reply = await command(client, "job.enqueue", [{"name": "resize"}] * count)
    return [each["result"]["job_id"] for each in reply["results"]]


async def subscribe(client: httpx.AsyncClient) -> None:
    body = {"name": "stock", "pattern": "job.enqueued", "delivery": "queue", "start": "beginning"}
    await command(client, "subscription.create", body)


async def consumed(url: str, queue: str, subjects: set[str], arguments: dict[str, Any] | None = None) -> list[Any]:
    """Events from a queue, read by a consumer that knows nothing of Millrace, until all subjects were among them."""
    events: list[Any] = []
    there = asyncio.Event()

    async def take(message: AbstractIncomingMessage) -> None:
        events.append(json.loads(message.body))
        await message.ack()
        if subjects <= {event["subject"] for event in events}:
            there.set()

    async with await aio_pika.connect(url, timeout=60) as connection:
        await until(lambda: exists(connection, queue), BACK_SECONDS)
        async with connection.channel() as channel:
            await channel.set_qos(prefetch_count=50)
            found = await channel.get_queue(queue, ensure=False)
            await found.consume(take, arguments=arguments)
            await asyncio.wait_for(there.wait(), BACK_SECONDS)
    return events


async def exists(connection: aio_pika.abc.AbstractConnection, queue: str) -> bool:
    try:
        async with connection.channel() as channel:
            await channel.declare_queue(queue, passive=True)
    except ChannelNotFoundEntity:
        return False
    return True


async def nothing_is_behind(service: Running, client: httpx.AsyncClient) -> None:
    async def done() -> bool:
        parts = (await client.get("/health/ready")).json()["parts"]
        return bool(parts["relay"]["detail"] == "0 events behind" and parts["rabbitmq"]["status"] == "ok")

    await until(done, BACK_SECONDS)


async def pending(app: Millrace) -> int:
    """How many jobs wait, counted up to the newest event."""
    return int((await app.query("job.stats", {}, min_position=await head(app)))["pending"])


@pytest.fixture
async def service(fresh_database_url: str, node: Node) -> AsyncIterator[Running]:
    async with running(fresh_database_url, node.url, events_log=True) as service:
        yield service


async def test_after_the_brokers_data_is_wiped_everything_goes_on_by_itself(service: Running, node: Node) -> None:
    async with service.client() as client, Millrace(node.url, timeout=BACK_SECONDS) as app:
        await subscribe(client)
        before = await enqueue(client, 20)
        seen = await consumed(node.url, QUEUE, set(before))
        logged = await consumed(node.url, EVENTS_LOG, set(before), {"x-stream-offset": "first"})
        assert [event["subject"] for event in seen] == before
        assert [event["subject"] for event in logged if event["eventtype"] == "job.enqueued"] == before
        await command(client, "subscription.acknowledge", {"name": "stock", "position": seen[9]["position"]})
        # The queue is filled again from where the read model has it.
        await app.query("subscription.list", {}, min_position=await head(app))
        await nothing_is_behind(service, client)

        node.stop()
        node.wipe()
        during = await enqueue(client, 20)
        await node.start()

        job = await app.jobs.enqueue("resize")
        everything = [*before, *during, job.id]
        refilled = await consumed(node.url, QUEUE, set(everything[10:]))
        assert [event["subject"] for event in refilled] == everything[10:]
        logged = await consumed(node.url, EVENTS_LOG, {*during, job.id}, {"x-stream-offset": "first"})
        assert {*during, job.id} <= {event["subject"] for event in logged}
        await nothing_is_behind(service, client)
        assert await pending(app) == 41


async def test_a_broker_that_is_killed_under_load_costs_no_command_and_no_event(service: Running, node: Node) -> None:
    async with service.client() as client, Millrace(node.url, timeout=60) as app:
        await subscribe(client)
        # RabbitMQ 3.10 never recovers a quorum queue or stream if it is killed within seconds of declaring it; a clean
        # stop in between makes this a broker that has had them for a while.
        first = await enqueue(client, 1)
        await consumed(node.url, QUEUE, set(first))
        node.stop()
        await node.start()
        await nothing_is_behind(service, client)
        accepted: list[str] = []

        async def send(count: int) -> None:
            for _ in range(count):
                accepted.append((await app.jobs.enqueue("resize")).id)

        senders = [asyncio.create_task(send(50)) for _ in range(8)]
        await until(lambda: len(accepted) >= 50)
        node.kill()
        over_http = await enqueue(client, 5)
        await node.start()
        await asyncio.gather(*senders)
        assert len(set(accepted)) == len(accepted) == 400
        wanted = {*accepted, *over_http}
        events = await consumed(node.url, QUEUE, wanted)
        # Delivered at least once, in order: a repetition is known by its id.
        positions = list(dict.fromkeys(int(event["position"].rpartition("-")[2]) for event in events))
        assert positions == sorted(positions)
        assert {event["subject"] for event in events} - set(first) == wanted
        await nothing_is_behind(service, client)
        assert await pending(app) == 406
