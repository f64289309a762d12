"""A client in plain aio-pika, as other languages would write it: requests with direct reply-to."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

ANSWER_WITHIN = 60.0


class Caller:
    """Sends requests and matches the replies."""

    def __init__(self, channel: AbstractChannel) -> None:
        self._channel = channel
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}

    @classmethod
    async def on(cls, channel: AbstractChannel) -> Caller:
        caller = cls(channel)
        replies = await channel.get_queue("amq.rabbitmq.reply-to", ensure=False)
        await replies.consume(caller._arrived, no_ack=True)
        return caller

    async def call(
        self,
        key: str,
        body: object,
        *,
        exchange: str = "millrace.commands",
        correlation_id: str | None = None,
        **properties: Any,
    ) -> dict[str, Any]:
        """Sends `body` (bytes as they are, all else as JSON) and returns the reply."""
        correlation = correlation_id or uuid4().hex
        answer = self._waiting[correlation] = asyncio.get_running_loop().create_future()
        properties = {"message_id": uuid4().hex, "content_type": "application/json", **properties}
        await self.publish(
            key, body, exchange=exchange, correlation_id=correlation, reply_to="amq.rabbitmq.reply-to", **properties
        )
        return await asyncio.wait_for(answer, ANSWER_WITHIN)

    async def publish(self, key: str, body: object, *, exchange: str = "millrace.commands", **properties: Any) -> None:
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        target = await self._channel.get_exchange(exchange, ensure=False)
        await target.publish(aio_pika.Message(payload, **properties), routing_key=key)

    async def _arrived(self, message: AbstractIncomingMessage) -> None:
        self._waiting.pop(message.correlation_id or "").set_result(json.loads(message.body))
