"""Queues of subscriptions: filled in order, bounded, and filled again after they vanish."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

from adapters.amqp import declaration
from adapters.amqp.connection import Link
from adapters.amqp.feeder import WINDOW, Feeder, QueueSubscription
from adapters.amqp.publisher import BulkSender
from adapters.amqp.topology import subscription_queue, topology
from domain.job_events import Cancelled
from domain.ports import Metadata, Outgoing, RecordedEvent, StreamName
from tests.integration.amqp.conftest import messages_in
from tests.support.running import until

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


class Consumer:
    """Consumes the queue, and keeps the messages unacknowledged until `acknowledge`.

    Attributes:
        seen: the ids, in the order in which they came.
    """

    def __init__(self, connection: AbstractConnection, prefetch: int) -> None:
        self.seen: list[str | None] = []
        self._prefetch = prefetch
        self._channel = connection.channel()
        self._held: list[AbstractIncomingMessage] = []
        self._acknowledging = False

    async def start(self) -> Consumer:
        await self._channel.initialize()
        await self._channel.set_qos(prefetch_count=self._prefetch)
        self._queue = await self._channel.get_queue(QUEUE, ensure=False)
        self._tag = await self._queue.consume(self._take)
        return self

    async def _take(self, message: AbstractIncomingMessage) -> None:
        self.seen.append(message.message_id)
        self._held.append(message)
        if self._acknowledging:
            await self.acknowledge()

    async def acknowledge(self) -> None:
        """What has come, and from now on everything at once."""
        self._acknowledging = True
        held, self._held = self._held, []
        if held:
            # In one: the broker forgets acknowledgements that still wait in line when their channel is closed.
            await held[-1].ack(multiple=True)

    async def stop(self) -> None:
        """Takes no more, and acknowledges what has come."""
        await self._queue.cancel(self._tag)
        await self.acknowledge()
        await self._channel.close()


async def taken(connection: AbstractConnection, count: int) -> list[str | None]:
    """Takes messages from the queue, as a consumer with `basic.ack` does."""
    consumer = await Consumer(connection, count).start()
    await until(lambda: len(consumer.seen) == count)
    await consumer.stop()
    return consumer.seen


async def test_a_queue_gets_its_tenants_matching_events_in_order(
    feeder: Feeder, source: MemorySource, connection: AbstractConnection
) -> None:
    source.append(2)
    source.append(1, tenant="other")
    source.append(1, event_type="invoice.created")
    source.append(1)
    await feeder.fill_all()
    assert await taken(connection, 3) == ["e-1", "e-2", "e-5"]
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
    feeder: Feeder, source: MemorySource, connection: AbstractConnection
) -> None:
    source.append(WINDOW * 2 + 500)
    received = []
    for count in (WINDOW, WINDOW, 500):
        await feeder.fill_all()
        received += await taken(connection, count)
    assert received == [f"e-{position}" for position in range(1, WINDOW * 2 + 501)]


async def test_a_queue_that_vanished_is_filled_again_from_the_acknowledged_position(
    feeder: Feeder, source: MemorySource, channel: AbstractChannel, connection: AbstractConnection
) -> None:
    source.append(10)
    await feeder.fill_all()
    assert await taken(connection, 6) == [f"e-{position}" for position in range(1, 7)]
    source.acknowledge(4)
    await channel.queue_delete(QUEUE)
    await feeder.fill_all()
    assert await taken(connection, 6) == [f"e-{position}" for position in range(5, 11)]


async def test_a_feeder_that_starts_anew_goes_on_where_the_queue_ends(
    feeder: Feeder, source: MemorySource, broker_url: str, connection: AbstractConnection
) -> None:
    source.append(3)
    await feeder.fill_all()
    link = Link(broker_url, "test.second", lambda connection: declaration.apply(connection, topology()))
    link.start()
    source.append(2)
    await Feeder(link, BulkSender(link), source, encode, Quiet()).fill_all()
    await link.stop()
    assert await taken(connection, 5) == [f"e-{position}" for position in range(1, 6)]
    assert await messages_in(connection, QUEUE) == 0


async def test_a_subscription_that_cannot_be_served_does_not_keep_others_from_it(
    feeder: Feeder, source: MemorySource, connection: AbstractConnection
) -> None:
    good = source.subscriptions.pop("orders")
    source.subscriptions = {"bad": replace(good, name="ü" * 128), "orders": good}
    source.append(1)
    await feeder.fill_all()
    assert await taken(connection, 1) == ["e-1"]


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


async def test_whoever_comes_while_the_broker_takes_the_last_consumer_for_alive_gets_every_event_in_order(
    feeder: Feeder, source: MemorySource, connection: AbstractConnection, broker_url: str
) -> None:
    source.append(30)
    await feeder.fill_all()
    async with await aio_pika.connect(broker_url) as lost:
        dead = await Consumer(lost, 10).start()
        await until(lambda: len(dead.seen) == 10)
        living = await Consumer(connection, 10).start()
        await living.acknowledge()
    await until(lambda: len(set(living.seen)) == 30)
    await living.stop()
    assert living.seen == [f"e-{position}" for position in range(1, 31)]
