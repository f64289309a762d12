"""arq on Redis, tuned: 100 jobs at once, polled each 10 ms. Redis as it is set up here does not sync each write."""

from __future__ import annotations

import asyncio
from typing import Any

from benchmarks.peers.base import CONCURRENCY, REDIS_URL, Loop
from benchmarks.peers.redis_observer import RedisObserver
from benchmarks.stamps import stamp

POLL_SECONDS = 0.01
IN_FLIGHT = 50  # each takes a connection


async def nop(context: Any, i: int) -> int:
    stamp(i)
    return i


class ArqPeer(RedisObserver):
    records = "a Redis key for each job"

    def connect(self) -> None:
        from arq import create_pool
        from arq.connections import RedisSettings

        self.loop = Loop()
        self.pool: Any = self.loop.run(create_pool(RedisSettings.from_dsn(REDIS_URL)))

    def enqueue(self, numbers: range) -> None:
        async def send() -> None:
            for start in range(0, len(numbers), IN_FLIGHT):
                await asyncio.gather(*(self.pool.enqueue_job("nop", i) for i in numbers[start : start + IN_FLIGHT]))

        self.loop.run(send())

    def enqueue_one(self, number: int) -> str:
        return f"arq:result:{self.loop.run(self.pool.enqueue_job('nop', number)).job_id}"

    def recorded_count(self) -> int:
        if self.observing.zcard("arq:queue"):
            return 0
        return sum(1 for _ in self.observing.scan_iter("arq:result:*", count=10_000))

    def worker(self) -> None:
        from arq.connections import RedisSettings
        from arq.worker import Worker

        asyncio.set_event_loop(asyncio.new_event_loop())
        settings = RedisSettings.from_dsn(REDIS_URL)
        Worker([nop], redis_settings=settings, max_jobs=CONCURRENCY, poll_delay=POLL_SECONDS).run()


if __name__ == "__main__":
    from benchmarks.peers.steps import main

    main(ArqPeer())
