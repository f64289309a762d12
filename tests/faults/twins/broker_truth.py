"""A known-bad build that takes the broker's confirm for acceptance."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import aio_pika
from aio_pika.exceptions import AMQPError
from pydantic_core import from_json, to_json

from handlers.gateway import Gateway
from millrace.contracts.wire import Accepted, Context, Reply, derived_id
from tests.faults.twins.doors import reply_of
from tests.faults.twins.twin import Door, Twin, items

QUEUE = "twin.accepted"
BEHIND_SECONDS = 0.05


class TrustsTheBroker(Twin):
    """A command is accepted once a queue has it, and carried out from there; the queue's data is its only home."""

    def gateway(self, gateway: Gateway, known: frozenset[str]) -> Gateway:
        class Bad(Door):
            channel: aio_pika.abc.AbstractChannel | None = None

            async def execute(self, name: str, body: object, context: Context) -> Reply:
                if name != "job.enqueue":
                    return await self.inner.execute(name, body, context)
                return reply_of(body, [await self._keep(item, own) for item, own in items(body, context)])

            async def _keep(self, body: Any, context: Context) -> Reply:
                while True:
                    try:
                        channel = await self._open()
                        kept = to_json({"body": body, "tenant": context.tenant, "id": context.message_id})
                        await channel.default_exchange.publish(aio_pika.Message(kept), QUEUE)
                        job_id = derived_id(context.tenant, context.message_id, context.principal)
                        return Accepted({"job_id": job_id, "status": "pending"})
                    except (AMQPError, OSError, RuntimeError):
                        self.channel = None
                        await asyncio.sleep(BEHIND_SECONDS)

            async def _open(self) -> aio_pika.abc.AbstractChannel:
                if self.channel is None or self.channel.is_closed:
                    connection = await aio_pika.connect(os.environ["RABBITMQ_URL"], timeout=5)
                    self.channel = await connection.channel()
                    await self.channel.set_qos(prefetch_count=1)
                    queue = await self.channel.declare_queue(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
                    await queue.consume(self._carry_out)
                return self.channel

            async def _carry_out(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
                await asyncio.sleep(BEHIND_SECONDS)
                kept = from_json(message.body)
                await self.inner.execute("job.enqueue", kept["body"], Context(kept["tenant"], kept["id"]))
                await message.ack()

        return Bad(gateway)
