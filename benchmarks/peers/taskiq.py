"""Taskiq on RabbitMQ, results in Redis, acknowledged when the result is saved."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from taskiq_aio_pika import AioPikaBroker
from taskiq_redis import RedisAsyncResultBackend

from benchmarks.peers.base import CONCURRENCY, RABBITMQ_URL, REDIS_URL, WINDOW, Loop
from benchmarks.peers.redis_observer import RedisObserver
from benchmarks.stamps import stamp

results = RedisAsyncResultBackend(REDIS_URL, max_connection_pool_size=20, result_ex_time=3600)
broker = AioPikaBroker(RABBITMQ_URL, qos=200).with_result_backend(results)


@broker.task(task_name="nop")
async def nop(i: int) -> int:
    stamp(i)
    return i


class TaskiqPeer(RedisObserver):
    records = "a Redis key for each task"

    def connect(self) -> None:
        self.loop = Loop()
        self.loop.run(broker.startup())

    def enqueue(self, numbers: range) -> None:
        async def send() -> None:
            for start in range(0, len(numbers), WINDOW):
                await asyncio.gather(*(nop.kiq(i) for i in numbers[start : start + WINDOW]))

        self.loop.run(send())

    def enqueue_one(self, number: int) -> str:
        return str(self.loop.run(nop.kiq(number)).task_id)

    def worker(self) -> None:
        program = str(Path(sys.executable).parent / "taskiq")
        limits = ["--workers", "1", "--max-async-tasks", str(CONCURRENCY), "--max-prefetch", str(CONCURRENCY)]
        environment = {**os.environ, "PYTHONPATH": os.getcwd()}
        os.execve(
            program,
            [program, "worker", "benchmarks.peers.taskiq:broker", *limits, "--log-level", "WARNING"],
            environment,
        )


if __name__ == "__main__":
    from benchmarks.peers.steps import main

    main(TaskiqPeer())
