"""Fills the queues of subscriptions that other languages consume over AMQP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from adapters.amqp import declaration
from adapters.amqp.connection import Link
from adapters.amqp.errors import BrokerUnavailable, TopologyMismatch
from adapters.amqp.publisher import BulkSender
from adapters.amqp.topology import Queue, subscription_queue
from domain.ports import Doorbell, Outgoing, PublishFailed, RecordedEvent, StoreUnavailable
from domain.subscription import KIND
from millrace.contracts.wire import matches

log = structlog.get_logger(__name__)

WINDOW = 1_000
PAGE = 1_000
PAGES_PER_ROUND = 10
ROUND_SECONDS = 1.0
# While nobody has a queue to be filled, only new subscriptions are of interest: asking at every append would cost the
# database a statement for each.
SUBSCRIBED = frozenset({KIND})
SETTLE_SECONDS = 0.1
CONNECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class QueueSubscription:
    """An active subscription with `delivery: queue`.

    Attributes:
        acknowledged: position up to which its consumer has acknowledged by command, at first where it starts.
        filled: position up to which the queue has been filled; None before that began.
    """

    tenant: str
    name: str
    pattern: str
    acknowledged: int
    filled: int | None = None


class SubscriptionSource(Protocol):
    """Where the feeder learns what to deliver, and keeps how far it is."""

    async def queue_subscriptions(self) -> Sequence[QueueSubscription]:
        """All active subscriptions that are delivered to queues, of all tenants."""
        ...

    async def save_filled(self, tenant: str, name: str, position: int) -> None:
        """Keeps how far a queue has been filled: operational, not an event; saved after the broker's confirms."""
        ...

    async def read(self, after: int, limit: int) -> list[RecordedEvent]:
        """Events of all tenants after a position, in order, at most `limit`."""
        ...


class Feeder:
    """Keeps every subscription's queue filled from the store, in order. One process at a time runs it.

    What bounds a queue. The plain rule, no more than 1,000 events beyond the acknowledged position, would stop a
    consumer for ever that never sends `subscription.acknowledge`, and many never will: to them the broker's `basic.ack`
    is the acknowledgement. So the bound is the number of messages that wait in the queue, which the broker tells: it is
    filled up to 1,000 whenever it holds fewer. What consumers hold unacknowledged comes on top, and their prefetch
    counts bound that. A consumer that is away costs 1,000 messages, however long it stays away.

    What the acknowledged position is for. The queue is as durable as the broker. When it vanishes (the broker's data
    was wiped, somebody deleted it), nobody but the consumer knows which events it had handled. It is declared again and
    filled from the acknowledged position: whoever acknowledges by command now and then gets a short repetition,
    whoever never does gets everything since the subscription began. Nothing is lost either way, and repeated events
    are known by their `id`. While the queue stands, `filled` alone decides, so a restart of the service repeats at most
    the batch whose position it could not save.

    Only the feeder may declare the queue: a consumer that declares it itself after a wipe hides that it had vanished.
    """

    def __init__(
        self,
        link: Link,
        sender: BulkSender,
        source: SubscriptionSource,
        encode: Callable[[RecordedEvent], Outgoing],
        doorbell: Doorbell,
    ) -> None:
        """
        Args:
            encode: makes the CloudEvent that goes out; its routing key is replaced by the queue's name.
            doorbell: wakes the feeder when events were appended; it looks every second in any case.
        """
        self._link, self._sender, self._source = link, sender, source
        self._encode, self._doorbell = encode, doorbell

    async def run(self) -> None:
        """Fills queues until it is cancelled. A broker or store that is away is waited for."""
        seen = 0
        concerned: frozenset[str] | None = None
        while True:
            try:
                concerned = None if await self.fill_all() else SUBSCRIBED
            except (BrokerUnavailable, StoreUnavailable) as error:
                log.info("feeder_waits", error=str(error))
                await asyncio.sleep(ROUND_SECONDS)
            seen = await self._doorbell.wait(seen, ROUND_SECONDS, concerned, patience=ROUND_SECONDS)
            if concerned is not None:
                # The read model is written a moment after the event that wakes.
                await asyncio.sleep(SETTLE_SECONDS)

    async def fill_all(self) -> int:
        """One round over all subscriptions. One that cannot be filled does not keep the others from it.

        Returns:
            How many subscriptions there are.

        Raises:
            BrokerUnavailable: there is no broker.
            StoreUnavailable: there is no store.
        """
        subscriptions = await self._source.queue_subscriptions()
        for subscription in subscriptions:
            try:
                await self._fill(subscription)
            except (PublishFailed, TopologyMismatch, ValueError) as error:
                log.warning(
                    "queue_not_filled", tenant=subscription.tenant, subscription=subscription.name, error=str(error)
                )
        return len(subscriptions)

    async def _fill(self, subscription: QueueSubscription) -> None:
        queue = subscription_queue(subscription.tenant, subscription.name)
        place, room = await self._place(subscription, queue)
        for _ in range(PAGES_PER_ROUND):
            if room <= 0:
                return
            page = await self._source.read(place, PAGE)
            if not page:
                return
            chosen = [
                event
                for event in page
                if event.metadata.tenant == subscription.tenant and matches(subscription.pattern, event.event_type)
            ]
            place = page[-1].position if len(chosen) <= room else chosen[room - 1].position
            sent = [self._encode(event)._replace(routing_key=queue.name) for event in chosen[:room]]
            await self._sender.send("", sent)
            await self._source.save_filled(subscription.tenant, subscription.name, place)
            room -= len(sent)

    async def _place(self, subscription: QueueSubscription, queue: Queue) -> tuple[int, int]:
        """Where to go on from, and how many events fit into the queue."""
        connection = await self._link.connection(CONNECT_SECONDS)
        waiting = await declaration.waiting_in(connection, queue.name)
        if waiting is not None and subscription.filled is not None:
            return max(subscription.filled, subscription.acknowledged), WINDOW - waiting
        if subscription.filled is not None:
            log.warning("queue_vanished", queue=queue.name, refilled_after=subscription.acknowledged)
        # Saved before the queue is there: a crash in between finds no queue and begins here again.
        await self._source.save_filled(subscription.tenant, subscription.name, subscription.acknowledged)
        await declaration.declare_queue(connection, queue)
        return subscription.acknowledged, WINDOW - (waiting or 0)
