"""Lists jobs with the query `job.list`. Plain aio-pika: any AMQP client can do the same.

RABBITMQ_URL=amqp://guest:guest@localhost/ python query.py [status]
"""

import asyncio
import json
import os
import sys
from uuid import uuid4

import aio_pika

TENANT = "default"


async def main(status: str | None) -> int:
    connection = await aio_pika.connect(os.environ.get("RABBITMQ_URL", "amqp://guest:guest@localhost/"))
    async with connection, connection.channel(on_return_raises=True) as channel:
        replies = await channel.get_queue("amq.rabbitmq.reply-to", ensure=False)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def answered(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            if not answer.done():
                answer.set_result(message.body)

        await replies.consume(answered, no_ack=True)
        queries = await channel.get_exchange("millrace.queries", ensure=False)
        question = {"limit": 20} | ({"status": status} if status else {})
        await queries.publish(
            aio_pika.Message(
                json.dumps(question).encode(),
                content_type="application/json",
                message_id=str(uuid4()),
                reply_to="amq.rabbitmq.reply-to",
                # headers={"min_position": position} waits until the read model has seen that position
            ),
            routing_key=f"{TENANT}.job.list",
        )
        try:
            reply = json.loads(await asyncio.wait_for(answer, timeout=10))
        except TimeoutError:
            print("no answer: is the service running?", file=sys.stderr)
            return 2
    if not reply["ok"]:
        print(json.dumps(reply["error"], indent=2), file=sys.stderr)
        return 1
    for job in reply["result"]["jobs"]:
        print(f"{job['id']}  {job['status']:<10}  {job['name']}")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else None)))
