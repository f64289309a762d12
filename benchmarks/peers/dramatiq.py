"""Dramatiq on RabbitMQ with confirms, results in Redis."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from benchmarks.peers.base import RABBITMQ_URL, REDIS_URL
from benchmarks.peers.redis_observer import RedisObserver
from benchmarks.stamps import stamp

backend = RedisBackend(url=REDIS_URL)
broker = RabbitmqBroker(url=RABBITMQ_URL, confirm_delivery=True)
broker.add_middleware(Results(backend=backend))
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="bench.dramatiq", store_results=True)
def nop(i: int) -> int:
    stamp(i)
    return i


class DramatiqPeer(RedisObserver):
    records = "a Redis list for each message"

    def connect(self) -> None:
        broker.declare_queue("bench.dramatiq", ensure=True)

    def enqueue(self, numbers: range) -> None:
        for i in numbers:
            nop.send(i)

    def enqueue_one(self, number: int) -> str:
        return str(backend.build_message_key(nop.send(number)))

    def worker(self) -> None:
        program = str(Path(sys.executable).parent / "dramatiq")
        arguments = [program, "benchmarks.peers.dramatiq", "-p", "1", "-t", "8"]
        os.execve(program, arguments, {**os.environ, "dramatiq_queue_prefetch": "200"})


if __name__ == "__main__":
    from benchmarks.peers.steps import main

    main(DramatiqPeer())
