"""Oban for Python on PostgreSQL. It needs Python 3.12."""

from __future__ import annotations

import asyncio

from oban import Oban, worker

from benchmarks.peers.base import CHUNK, CONCURRENCY, DATABASE_URL, Loop, PostgresObserver, postgres, postgres_has
from benchmarks.stamps import stamp


@worker(queue="bench")
class Nop:
    async def process(self, job) -> None:
        stamp(job.args["i"])


class ObanPeer(PostgresObserver):
    records = "oban_jobs.state = completed"
    count_sql = "SELECT count(*) FROM oban_jobs WHERE state = 'completed'"
    one_sql = "SELECT 1 FROM oban_jobs WHERE id = %s AND state = 'completed'"

    def reset(self) -> None:
        if not postgres_has("oban_jobs"):
            asyncio.run(_install())
        postgres("TRUNCATE oban_jobs", "TRUNCATE oban_leaders, oban_producers", "VACUUM ANALYZE")

    def connect(self) -> None:
        self.loop = Loop()

        async def open_() -> None:
            self.oban = Oban(pool=await Oban.create_pool(DATABASE_URL))

        self.loop.run(open_())

    def enqueue(self, numbers: range) -> None:
        async def send() -> None:
            for start in range(0, len(numbers), CHUNK):
                await self.oban.enqueue_many([Nop.new({"i": i}) for i in numbers[start : start + CHUNK]])

        self.loop.run(send())

    def enqueue_one(self, number: int) -> int:
        return int(self.loop.run(self.oban.enqueue(Nop.new({"i": number}))).id)

    def worker(self) -> None:
        import uvloop

        uvloop.run(_work())


async def _install() -> None:
    from oban.schema import install

    pool = await Oban.create_pool(DATABASE_URL)
    await install(pool)
    await pool.close()


async def _work() -> None:
    pool = await Oban.create_pool(DATABASE_URL)
    async with Oban(pool=pool, queues={"bench": CONCURRENCY}):
        await asyncio.Event().wait()


if __name__ == "__main__":
    from benchmarks.peers.steps import main

    main(ObanPeer())
