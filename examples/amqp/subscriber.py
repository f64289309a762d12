"""Subscribes to events with a queue of its own and acknowledges them. Plain aio-pika: any AMQP client can do the same.

    RABBITMQ_URL=amqp://guest:guest@localhost/ python subscriber.py [name] [pattern] [how many events]

With a number it ends after so many events; without, it goes on until it is stopped.
"""

import asyncio
import json
import os
import sys
from typing import Any
from uuid import uuid4

import aio_pika

TENANT = "default"
ACKNOWLEDGE_EVERY = 50


class Commands:
    """Sends commands and waits for their replies."""

    def __init__(self, channel: aio_pika.abc.AbstractChannel) -> None:
        self._channel = channel
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}

    async def start(self) -> None:
        replies = await self._channel.get_queue("amq.rabbitmq.reply-to", ensure=False)
        await replies.consume(self._answered, no_ack=True)

    async def send(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        command_id = str(uuid4())
        answer = self._waiting[command_id] = asyncio.get_running_loop().create_future()
        exchange = await self._channel.get_exchange("millrace.commands", ensure=False)
        message = aio_pika.Message(
            json.dumps(body).encode(),
            content_type="application/json",
            message_id=command_id,
            correlation_id=command_id,
            reply_to="amq.rabbitmq.reply-to",
        )
        await exchange.publish(message, routing_key=f"{TENANT}.{name}")
        reply: dict[str, Any] = await asyncio.wait_for(answer, timeout=10)
        if not reply["ok"]:
            raise RuntimeError(reply["error"]["detail"])
        return reply

    async def _answered(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        answer = self._waiting.pop(message.correlation_id or "", None)
        if answer is not None:
            answer.set_result(json.loads(message.body))


async def main(name: str, pattern: str, limit: int | None) -> int:
    connection = await aio_pika.connect_robust(os.environ.get("RABBITMQ_URL", "amqp://guest:guest@localhost/"))
    async with connection, connection.channel() as channel:
        commands = Commands(channel)
        await commands.start()
        # Creating it again with the same values changes nothing.
        await commands.send(
            "subscription.create", {"name": name, "pattern": pattern, "delivery": "queue", "start": "beginning"}
        )
        await channel.set_qos(prefetch_count=ACKNOWLEDGE_EVERY)
        queue = await existing_queue(connection, channel, f"millrace.sub.{TENANT}.{name}")
        seen: set[str] = set()
        async with queue.iterator() as messages:
            async for message in messages:
                event = json.loads(message.body)
                # Delivery is at least once: what was handled before is known by its id. A real service keeps the ids,
                # or the last version of each subject, beside its own data.
                if event["id"] not in seen:
                    seen.add(event["id"])
                    print(f"{event['position']}  {event['type']}  {event['subject']}", flush=True)
                await message.ack()
                done = limit is not None and len(seen) >= limit
                # Tells the service how far we are. It is not needed every time: it bounds what is repeated should the
                # broker lose its data, since then the queue is filled again from this position.
                if done or len(seen) % ACKNOWLEDGE_EVERY == 0:
                    await commands.send("subscription.acknowledge", {"name": name, "position": event["position"]})
                if done:
                    return 0
    return 0


async def existing_queue(
    connection: aio_pika.abc.AbstractConnection, channel: aio_pika.abc.AbstractChannel, name: str
) -> aio_pika.abc.AbstractQueue:
    """Waits until the service has made the queue. Declaring it here would hide from the service that it was missing."""
    for _ in range(100):
        try:
            async with connection.channel() as probe:
                await probe.declare_queue(name, passive=True)
            return await channel.get_queue(name, ensure=False)
        except aio_pika.exceptions.ChannelNotFoundEntity:
            await asyncio.sleep(0.1)
    raise RuntimeError(f"the service has not made the queue {name}; is it running?")


if __name__ == "__main__":
    arguments = sys.argv[1:]
    try:
        sys.exit(
            asyncio.run(
                main(
                    arguments[0] if arguments else "example",
                    arguments[1] if len(arguments) > 1 else "job.#",
                    int(arguments[2]) if len(arguments) > 2 else None,
                )
            )
        )
    except KeyboardInterrupt:
        sys.exit(130)
