"""Queues of subscriptions: filled in order, bounded, and filled again after they vanish."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection

from adapters.amqp import declaration
from adapters.amqp.connection import Link
from adapters.amqp.feeder import WINDOW, Feeder, QueueSubscription
from adapters.amqp.publisher import BulkSender
from adapters.amqp.topology import subscription_queue, topology
from domain.job_events import Cancelled
from domain.ports import Metadata, Outgoing, RecordedEvent, StreamName
from tests.integration.amqp.conftest import messages_in

QUEUE = "millrace.sub.acme.orders"


class MemorySource:
    """A log and the subscriptions on it, in memory."""

    def __init__(self) -> None:
        self.log: list[RecordedEvent] = []
        self.subscriptions = {"orders": QueueSubscription("acme", "orders", "job.#", acknowledged=0)}

    def append(self, count: int, tenant: str = "acme", event_type: str = "job.cancelled") -> None:
        for _ in range(count):
            position = len(self.log) + 1
            now = datetime.now(UTC)
            stream = StreamName("job", tenant, f"job-{position}")
            event = Cancelled(originator_id=stream.text, originator_version=1, timestamp=now, reason=None)
            self.log.append(
                RecordedEvent(position, stream, 1, f"e-{position}", event_type, now, Metadata(tenant), event)
            )

    def acknowledge(self, position: int) -> None:
        self.subscriptions["orders"] = replace(self.subscriptions["orders"], acknowledged=position)

    async def queue_subscriptions(self) -> Sequence[QueueSubscription]:
        return list(self.subscriptions.values())

    async def save_filled(self, tenant: str, name: str, position: int) -> None:
        self.subscriptions[name] = replace(self.subscriptions[name], filled=position)

    async def read(self, after: int, limit: int) -> list[RecordedEvent]:
        return self.log[after : after + limit]


class Quiet:
    """A doorbell that nobody rings: only the polling interval passes."""

    async def wait(
        self, seen: int, timeout: float, kinds: Collection[str] | None = None, patience: float = 0.05
    ) -> int:
        await asyncio.sleep(min(timeout, 0.05))
        return seen


def encode(event: RecordedEvent) -> Outgoing:
    return Outgoing("unused", event.event_id, event.event_type, b"{}")


@pytest.fixture
def source() -> MemorySource:
    return MemorySource()


@pytest.fixture
async def feeder(
    connection: AbstractConnection, channel: AbstractChannel, broker_url: str, source: MemorySource
) -> AsyncIterator[Feeder]:
    await channel.queue_delete(QUEUE)
    link = Link(broker_url, "test.feeder", lambda connection: declaration.apply(connection, topology()))
    link.start()
    yield Feeder(link, BulkSender(link), source, encode, Quiet())
    await link.stop()
    await channel.queue_delete(QUEUE)


async def taken(channel: AbstractChannel, count: int) -> list[str | None]:
    """Takes messages from the queue, as a consumer with `basic.ack` does."""
    queue = await channel.get_queue(QUEUE)
    return [(await queue.get(no_ack=True)).message_id for _ in range(count)]


async def test_a_queue_gets_its_tenants_matching_events_in_order(
    feeder: Feeder, source: MemorySource, channel: AbstractChannel, connection: AbstractConnection
) -> None:
    source.append(2)
    source.append(1, tenant="other")
    source.append(1, event_type="invoice.created")
    source.append(1)
    await feeder.fill_all()
    assert await taken(channel, 3) == ["e-1", "e-2", "e-5"]
    await feeder.fill_all()
    assert await messages_in(connection, QUEUE) == 0


async def test_a_consumer_that_is_away_costs_a_bounded_number_of_messages(
    feeder: Feeder, source: MemorySource, channel: AbstractChannel, connection: AbstractConnection
) -> None:
    source.append(WINDOW * 2 + 500)
    for _ in range(3):
        await feeder.fill_all()
    assert await messages_in(connection, QUEUE) == WINDOW


async def test_a_consumer_that_never_acknowledges_by_command_gets_everything_once(
    feeder: Feeder, source: MemorySource, channel: AbstractChannel
) -> None:
    source.append(WINDOW * 2 + 500)
    received = []
    for count in (WINDOW, WINDOW, 500):
        await feeder.fill_all()
        received += await taken(channel, count)
    assert received == [f"e-{position}" for position in range(1, WINDOW * 2 + 501)]


async def test_a_queue_that_vanished_is_filled_again_from_the_acknowledged_position(
    feeder: Feeder, source: MemorySource, channel: AbstractChannel
) -> None:
    source.append(10)
    await feeder.fill_all()
    assert await taken(channel, 6) == [f"e-{position}" for position in range(1, 7)]
    source.acknowledge(4)
    await channel.queue_delete(QUEUE)
    await feeder.fill_all()
    assert await taken(channel, 6) == [f"e-{position}" for position in range(5, 11)]


async def test_a_feeder_that_starts_anew_goes_on_where_the_queue_ends(
    feeder: Feeder, source: MemorySource, broker_url: str, channel: AbstractChannel, connection: AbstractConnection
) -> None:
    source.append(3)
    await feeder.fill_all()
    link = Link(broker_url, "test.second", lambda connection: declaration.apply(connection, topology()))
    link.start()
    source.append(2)
    await Feeder(link, BulkSender(link), source, encode, Quiet()).fill_all()
    await link.stop()
    assert await taken(channel, 5) == [f"e-{position}" for position in range(1, 6)]
    assert await messages_in(connection, QUEUE) == 0


async def test_a_subscription_that_cannot_be_served_does_not_keep_others_from_it(
    feeder: Feeder, source: MemorySource, channel: AbstractChannel
) -> None:
    good = source.subscriptions.pop("orders")
    source.subscriptions = {"bad": replace(good, name="ü" * 128), "orders": good}
    source.append(1)
    await feeder.fill_all()
    assert await taken(channel, 1) == ["e-1"]


async def test_running_it_keeps_up_with_the_log(
    feeder: Feeder, source: MemorySource, channel: AbstractChannel, connection: AbstractConnection
) -> None:
    await declaration.declare_queue(connection, subscription_queue("acme", "orders"))
    arrived: asyncio.Queue[str | None] = asyncio.Queue()
    queue = await channel.get_queue(QUEUE)

    async def take(message: object) -> None:
        await arrived.put(getattr(message, "message_id", None))

    await queue.consume(take, no_ack=True)
    running = asyncio.create_task(feeder.run())
    for position in range(1, 4):
        source.append(1)
        assert await asyncio.wait_for(arrived.get(), 30) == f"e-{position}"
    running.cancel()
    await asyncio.wait({running})
