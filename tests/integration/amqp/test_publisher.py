"""Publishing events in bulk: order, confirms, and failures that are told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

from adapters.amqp import declaration, wire_access
from adapters.amqp.connection import Link
from adapters.amqp.errors import Unroutable
from adapters.amqp.publisher import AmqpPublisher
from adapters.amqp.topology import EVENTS, topology
from domain.ports import Outgoing, PublishFailed
from tests.integration.amqp.proxy import Proxy
from tests.support.running import until


@pytest.fixture
async def publisher(connection: AbstractConnection, proxied_url: str) -> AsyncIterator[AmqpPublisher]:
    link = Link(proxied_url, "test.events", lambda connection: declaration.apply(connection, topology()))
    link.start()
    publisher = AmqpPublisher(link)
    await until(lambda: publisher.connected)
    yield publisher
    await link.stop()


def events(count: int, size: int = 200) -> list[Outgoing]:
    return [
        Outgoing("default.job.completed", f"event-{index}", "millrace.job.completed.v1", b"%06d" % index + b"x" * size)
        for index in range(count)
    ]


async def test_a_batch_arrives_whole_in_order_with_its_properties(
    publisher: AmqpPublisher, channel: AbstractChannel
) -> None:
    queue = await channel.declare_queue(exclusive=True)
    await queue.bind(EVENTS, "default.job.*")
    await publisher.publish(events(2_000))
    arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
    await queue.consume(arrived.put, no_ack=True)
    messages = [await asyncio.wait_for(arrived.get(), 30) for _ in range(2_000)]
    assert [message.message_id for message in messages] == [f"event-{index}" for index in range(2_000)]
    first = messages[0]
    assert (first.content_type, first.type) == ("application/cloudevents+json", "millrace.job.completed.v1")
    assert (first.delivery_mode, first.routing_key) == (2, "default.job.completed")


async def test_events_larger_than_a_frame_and_empty_ones_arrive(
    publisher: AmqpPublisher, channel: AbstractChannel
) -> None:
    queue = await channel.declare_queue(exclusive=True)
    await queue.bind(EVENTS, "#")
    bodies = [b"", b"a" * 131_064, b"b" * 131_065, b"c" * 1_000_000]
    await publisher.publish([Outgoing("default.t.e", f"e-{i}", "t", body) for i, body in enumerate(bodies)])
    for body in bodies:
        assert (await queue.get(no_ack=True)).body == body


async def test_nothing_to_publish_is_done_at_once(publisher: AmqpPublisher) -> None:
    await publisher.publish([])


async def test_batches_at_the_same_time_are_all_confirmed(publisher: AmqpPublisher) -> None:
    await asyncio.gather(*(publisher.publish(_named(f"batch-{number}")) for number in range(10)))


async def test_an_event_that_no_queue_takes_is_a_failure_and_the_next_attempt_heals_the_topology(
    publisher: AmqpPublisher, channel: AbstractChannel
) -> None:
    for queue in topology().queues:
        await channel.queue_delete(queue.name)
    with pytest.raises(Unroutable, match="no queue took"):
        await publisher.publish(events(3))
    await publisher.publish(events(3))


async def test_a_deleted_exchange_is_a_failure_and_comes_back(
    publisher: AmqpPublisher, channel: AbstractChannel
) -> None:
    await channel.exchange_delete(EVENTS)
    with pytest.raises(PublishFailed):
        await publisher.publish(events(3))
    await publisher.publish(events(3))


async def test_a_lost_connection_fails_the_batch_and_the_publisher_comes_back(
    publisher: AmqpPublisher, proxy: Proxy
) -> None:
    proxy.refusing = True
    proxy.cut()
    await until(lambda: not publisher.connected)
    with pytest.raises(PublishFailed):
        await publisher.publish(events(10))
    proxy.refusing = False
    await until(lambda: publisher.connected)
    await publisher.publish(events(10))


async def test_a_broker_that_says_nothing_fails_the_batch_within_its_deadline(
    publisher: AmqpPublisher, proxy: Proxy
) -> None:
    await publisher.publish(events(1))
    proxy.hold()
    started = time.monotonic()
    with pytest.raises(PublishFailed, match="did not answer"):
        await publisher.publish(events(10))
    assert time.monotonic() - started < 15
    proxy.cut()
    proxy.release()
    await publisher.publish(events(10))


async def test_a_cut_in_the_middle_of_batches_loses_nothing_that_was_confirmed(
    publisher: AmqpPublisher, proxy: Proxy, channel: AbstractChannel
) -> None:
    queue = await channel.declare_queue(exclusive=True)
    await queue.bind(EVENTS, "#")
    confirmed: list[str] = []
    for number in range(30):
        if number % 6 == 5:
            proxy.cut()
        batch = _named(f"b-{number}")
        try:
            await publisher.publish(batch)
        except PublishFailed:
            continue
        confirmed += [event.message_id for event in batch]
    arrived = set()
    while (message := await queue.get(no_ack=True, fail=False)) is not None:
        arrived.add(message.message_id)
    assert set(confirmed) <= arrived
    assert len(confirmed) >= 500


async def test_the_library_still_has_what_packed_frames_need(channel: AbstractChannel) -> None:
    assert wire_access.supports_packed_frames(await wire_access.low_level(channel))


def _named(prefix: str) -> list[Outgoing]:
    return [Outgoing("default.t.e", f"{prefix}-{index}", "t", b"{}") for index in range(50)]
