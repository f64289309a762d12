"""Enqueues a job and prints the reply. Plain aio-pika: any AMQP client can do the same.

RABBITMQ_URL=amqp://guest:guest@localhost/ python publisher.py [job name]
"""

import asyncio
import json
import os
import sys
from uuid import uuid4

import aio_pika

TENANT = "default"


async def main(name: str) -> int:
    connection = await aio_pika.connect(os.environ.get("RABBITMQ_URL", "amqp://guest:guest@localhost/"))
    async with connection, connection.channel(on_return_raises=True) as channel:
        # Direct reply-to: the broker hands the answer straight to this channel, no queue is made for it.
        replies = await channel.get_queue("amq.rabbitmq.reply-to", ensure=False)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def answered(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            if message.correlation_id == command_id and not answer.done():
                answer.set_result(message.body)

        await replies.consume(answered, no_ack=True)

        # The message id makes repeating harmless: the same id gets the same answer, and the job exists once. A command
        # is accepted when its reply says so; the broker's confirm only says that the broker has it.
        command_id = str(uuid4())
        commands = await channel.get_exchange("millrace.commands", ensure=False)
        command = aio_pika.Message(
            json.dumps({"name": name, "data": {"file_id": "42"}, "priority": 5}).encode(),
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=command_id,
            correlation_id=command_id,
            reply_to="amq.rabbitmq.reply-to",
        )
        for _ in range(5):
            await commands.publish(command, routing_key=f"{TENANT}.job.enqueue", mandatory=True)
            try:
                reply = json.loads(await asyncio.wait_for(asyncio.shield(answer), timeout=5))
            except TimeoutError:
                continue  # nobody answered yet: send the same command again, with the same id
            print(json.dumps(reply, indent=2))
            return 0 if reply["ok"] else 1
    print("no answer: is the service running?", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "transcribe")))
