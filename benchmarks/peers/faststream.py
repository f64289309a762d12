"""FastStream's bare RabbitMQ subscriber: durable queue, persistent messages, confirms, acknowledged after the handler.

Nothing is recorded anywhere: the least that a message costs on its way to a Python handler.
"""

from __future__ import annotations

import asyncio

from faststream import FastStream
from faststream.rabbit import Channel, RabbitBroker, RabbitQueue

from benchmarks.peers.base import RABBITMQ_URL, WINDOW, Loop, Peer
from benchmarks.stamps import stamp

QUEUE = RabbitQueue("bench.faststream", durable=True)


class FastStreamPeer(Peer):
    def connect(self) -> None:
        self.loop = Loop()
        self.broker = _broker()

        async def open_() -> None:
            await self.broker.connect()
            await self.broker.declare_queue(QUEUE)

        self.loop.run(open_())

    def enqueue(self, numbers: range) -> None:
        async def send() -> None:
            for start in range(0, len(numbers), WINDOW):
                part = numbers[start : start + WINDOW]
                await asyncio.gather(*(self.broker.publish(i, QUEUE, persist=True) for i in part))

        self.loop.run(send())

    def enqueue_one(self, number: int) -> int:
        self.loop.run(self.broker.publish(number, QUEUE, persist=True))
        return number

    def worker(self) -> None:
        import uvloop

        broker = _broker()

        @broker.subscriber(QUEUE)
        async def nop(i: int) -> None:
            stamp(i)

        uvloop.run(FastStream(broker).run(log_level=30))


def _broker() -> RabbitBroker:
    return RabbitBroker(RABBITMQ_URL, default_channel=Channel(prefetch_count=200))


if __name__ == "__main__":
    from benchmarks.peers.steps import main

    main(FastStreamPeer())
