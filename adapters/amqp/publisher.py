"""Publishes events in bulk, with a confirm for every one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import aiormq
from aio_pika.exceptions import AMQPError, DeliveryError, PublishError

from adapters.amqp import frames, wire_access
from adapters.amqp.calls import guarded
from adapters.amqp.confirms import BatchConfirms
from adapters.amqp.connection import ChannelOf, Link
from adapters.amqp.errors import BrokerUnavailable, Unroutable
from adapters.amqp.topology import EVENTS
from domain.ports import Outgoing, PublishFailed

CONTENT_TYPE = "application/cloudevents+json"
DEADLINE = 5.0
WRITE_BYTES = 1_000_000


class BulkSender:
    """Sends many persistent messages over one confirming channel: one lock, few writes, every message confirmed."""

    def __init__(self, link: Link, *, mandatory: bool = True) -> None:
        self._channel, self._mandatory = ChannelOf(link, confirms=True), mandatory

    async def send(self, exchange: str, messages: Sequence[Outgoing], seconds: float = DEADLINE) -> None:
        """Publishes in order and returns when the broker has confirmed every message. Their ids must differ.

        Raises:
            Unroutable: a message was returned because no queue took it; the fate of the others is unknown.
            PublishFailed: the fate of every message is unknown: not confirmed within `seconds`, refused, or the
                connection was lost.
        """
        if not messages:
            return
        deadline = asyncio.get_running_loop().time() + seconds
        try:
            channel = await wire_access.low_level(await self._channel.get(seconds))
            left = max(0.05, deadline - asyncio.get_running_loop().time())
            if wire_access.supports_packed_frames(channel):
                sending = _send_packed(channel, self._channel.batches, exchange, messages, mandatory=self._mandatory)
            else:
                sending = _send_each(channel, exchange, messages, mandatory=self._mandatory)
            await guarded(sending, left)
        except (AMQPError, BrokerUnavailable) as error:
            # A new connection declares the topology again, which also cures a queue or binding that was deleted.
            self._channel.distrust()
            raise _failure(exchange, error) from error


class AmqpPublisher:
    """Carries events to the exchange `millrace.events`; implements the port `EventPublisher`."""

    def __init__(self, link: Link, *, mandatory: bool = True) -> None:
        """
        Args:
            mandatory: an event that no queue takes is a failure.
        """
        self._link, self._sender = link, BulkSender(link, mandatory=mandatory)

    @property
    def connected(self) -> bool:
        return self._link.connected

    async def publish(self, events: Sequence[Outgoing]) -> None:
        """Publishes in order and returns when the broker has confirmed every event; at most 5 s.

        Raises:
            PublishFailed: at least one event's fate is unknown; publish all of them again.
        """
        await self._sender.send(EVENTS, events)


class _Whole:
    """Stands in for the confirmation of each message of a batch, so that the batch needs one future."""

    def __init__(self, complete: asyncio.Future[None]) -> None:
        self._complete = complete

    def done(self) -> bool:
        return self._complete.done()

    def cancelled(self) -> bool:
        # What follows a batch's first failure interests nobody; the library logs it unless cancelled.
        return self._complete.done()

    def set_result(self, _: object) -> None:
        if not self._complete.done():
            self._complete.set_result(None)

    def set_exception(self, error: BaseException) -> None:
        if not self._complete.done():
            self._complete.set_exception(error)


def _failure(exchange: str, error: AMQPError | BrokerUnavailable) -> PublishFailed:
    match error:
        case PublishError(message=message):
            return Unroutable(exchange, (message and message.routing_key) or "")
        case DeliveryError():
            return PublishFailed("the broker refused a message: a queue is full or unavailable")
        case _:
            return PublishFailed(str(error))


async def _send_packed(
    channel: aiormq.Channel, confirms: BatchConfirms, exchange: str, messages: Sequence[Outgoing], *, mandatory: bool
) -> None:
    complete: asyncio.Future[None] = channel.create_future()
    whole = cast("asyncio.Future[Any]", _Whole(complete))
    packed = [_packed(channel, exchange, message, mandatory) for message in messages]
    try:
        async with channel.lock:
            tags = range(channel.delivery_tag + 1, channel.delivery_tag + 1 + len(messages))
            channel.delivery_tag = tags[-1]
            # Where a message comes back, the library looks for its own tag.
            channel.confirmations.update(dict.fromkeys(tags, whole))
            channel.message_id_delivery_tag.update(zip((message.message_id for message in messages), tags, strict=True))
            confirms.expect(channel.number, tags[-1])
            for payload in _chunks(packed):
                await wire_access.write(channel, payload)
        await complete
        for tag in tags:
            channel.confirmations.pop(tag, None)
    finally:
        for message in messages:
            channel.message_id_delivery_tag.pop(message.message_id, None)


def _packed(channel: aiormq.Channel, exchange: str, message: Outgoing, mandatory: bool) -> bytes:
    return frames.publication(
        channel.number,
        exchange,
        message.routing_key,
        frames.properties(content_type=CONTENT_TYPE, persistent=True, message_id=message.message_id, type=message.type),
        message.body,
        mandatory=mandatory,
        body_limit=channel.max_content_size,
    )


def _chunks(packed: list[bytes]) -> list[bytes]:
    """Joins packed messages into writes of about a megabyte, which bounds what lies in the socket's buffer."""
    chunks, current, size = [], [], 0
    for payload in packed:
        current.append(payload)
        size += len(payload)
        if size >= WRITE_BYTES:
            chunks.append(b"".join(current))
            current, size = [], 0
    if current:
        chunks.append(b"".join(current))
    return chunks


async def _send_each(channel: aiormq.Channel, exchange: str, messages: Sequence[Outgoing], *, mandatory: bool) -> None:
    """The library's own way, for a version of it that no longer has what packing needs."""
    await asyncio.gather(
        *(
            channel.basic_publish(
                message.body,
                exchange=exchange,
                routing_key=message.routing_key,
                mandatory=mandatory,
                properties=aiormq.spec.Basic.Properties(
                    content_type=CONTENT_TYPE,
                    delivery_mode=2,
                    message_id=message.message_id,
                    message_type=message.type,
                ),
            )
            for message in messages
        )
    )
