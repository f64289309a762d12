"""The place for messages that could not be handled and whose sender cannot be told."""

from __future__ import annotations

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import AMQPError

from adapters.amqp.calls import guarded
from adapters.amqp.connection import ChannelOf, Link
from adapters.amqp.envelope import Arrived
from adapters.amqp.errors import BrokerUnavailable
from adapters.amqp.topology import PARKED
from domain.ports import PublishFailed

DEADLINE = 5.0
LONGEST_ERROR = 2_000


class Parking:
    """Copies a message as it came into `millrace.commands.parked`, with headers that say why it is there."""

    def __init__(self, link: Link) -> None:
        self._channel = ChannelOf(link, confirms=True)

    async def park(self, message: Arrived, reason: str, error: str) -> None:
        """Returns once the broker has confirmed the copy; only then may the message be acknowledged.

        Args:
            reason: a problem's code, or `redelivered`; header `reason`.
            error: what went wrong, in words; header `error`.

        Raises:
            PublishFailed: the message may not be parked.
        """
        copy = Message(
            message.body,
            headers={
                **message.headers,
                "reason": reason,
                "handler": "adapters.amqp",
                "error": error[:LONGEST_ERROR],
                "routing_key": message.routing_key or "",
            },
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            message_id=message.message_id,
            correlation_id=message.correlation_id,
            reply_to=message.reply_to,
            delivery_mode=DeliveryMode.PERSISTENT,
        )
        try:
            await guarded(self._publish(await self._channel.get(DEADLINE), copy), DEADLINE)
        except (AMQPError, BrokerUnavailable) as failure:
            self._channel.distrust()
            raise PublishFailed(f"the message could not be parked: {failure}") from failure

    async def _publish(self, channel: AbstractChannel, copy: Message) -> None:
        await channel.default_exchange.publish(copy, routing_key=PARKED, mandatory=True)
