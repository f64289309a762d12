"""Samples over RabbitMQ: every process hears those of all. Nothing here is durable, confirmed or repeated."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import aiormq
import structlog
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage
from pydantic import ValidationError
from pydantic_core import from_json, to_json

from adapters.amqp import declaration, wire_access
from adapters.amqp.calls import guarded
from adapters.amqp.connection import ChannelOf, Link
from adapters.amqp.errors import BrokerUnavailable
from adapters.amqp.tasks import Tasks
from adapters.amqp.topology import LIVE, live
from adapters.cloudevents import transient_event
from adapters.samples import PAUSE_SECONDS, LocalSamples, Newest
from domain.live import Sample
from millrace.contracts.live import Transient, live_key

DEADLINE = 2.0
MOST_UNREAD = 10_000
CONTENT_TYPE = "application/cloudevents+json"
log = structlog.get_logger("samples")


class AmqpSamples:
    """Implements `domain.live.Samples`. While the broker is away, a process hears its own samples alone."""

    def __init__(self, url: str, pause: float = PAUSE_SECONDS) -> None:
        self._pause = pause
        self._local = LocalSamples(pause)
        self._link = Link(url, "millrace.live", self._prepare)
        self._channel = ChannelOf(self._link, confirms=False)
        self._waiting, self._some = Newest(), asyncio.Event()
        self._process = uuid.uuid4().hex
        self._tasks = Tasks("samples")

    @property
    def connected(self) -> bool:
        """Whether the samples of other processes arrive."""
        return self._link.connected

    @property
    def left_out(self) -> int:
        return self._local.left_out + self._waiting.left_out

    def start(self) -> None:
        self._link.start()
        self._tasks.start(self._send_on())

    async def stop(self) -> None:
        await self._tasks.stop()
        await self._link.stop()

    def emit(self, sample: Sample) -> None:
        self._local.emit(sample)
        if self._link.connected:
            self._waiting.put(sample)
            self._some.set()

    def listen(self, hear: Callable[[Sample], None]) -> Callable[[], None]:
        return self._local.listen(hear)

    async def _prepare(self, connection: AbstractConnection) -> None:
        """Declares the exchange and this process's own queue, which goes with the connection."""
        await declaration.apply(connection, live())
        channel = connection.channel(publisher_confirms=False)
        await guarded(channel.initialize(), DEADLINE)
        bounds: dict[str, Any] = {"x-max-length": MOST_UNREAD, "x-overflow": "drop-head"}
        queue = await guarded(channel.declare_queue(exclusive=True, auto_delete=True, arguments=bounds), DEADLINE)
        await guarded(queue.bind(LIVE, "#"), DEADLINE)
        await guarded(queue.consume(self._arrived, no_ack=True), DEADLINE)

    async def _arrived(self, message: AbstractIncomingMessage) -> None:
        if message.app_id == self._process:
            return
        try:
            event = Transient.model_validate(from_json(message.body))
        except (ValueError, ValidationError) as error:
            log.info("unreadable sample", action="sample_unreadable", error=type(error).__name__)
            return
        self._local.tell(Sample(event.tenant, event.eventtype, event.subject, event.data, event.id, event.time))

    async def _send_on(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            try:
                channel = await wire_access.low_level(await self._channel.get(DEADLINE))
                for sample in self._waiting.take():
                    await guarded(self._publish(channel, sample), DEADLINE)
            except BrokerUnavailable:
                self._channel.distrust()
            await asyncio.sleep(self._pause)

    async def _publish(self, channel: aiormq.Channel, sample: Sample) -> None:
        await channel.basic_publish(
            to_json(transient_event(sample)),
            exchange=LIVE,
            routing_key=live_key(sample.tenant, sample.type, sample.subject),
            properties=aiormq.spec.Basic.Properties(
                content_type=CONTENT_TYPE, delivery_mode=1, app_id=self._process, message_type=sample.type
            ),
        )
