"""Procrastinate on PostgreSQL: batch_defer to enqueue, one asyncio worker.

Its worker holds a connection for each job under way, so it gets 10 at once: more made it slower.
"""

from __future__ import annotations

import asyncio

from procrastinate import App, PsycopgConnector

from benchmarks.peers.base import CHUNK, DATABASE_URL, Loop, PostgresObserver, postgres, postgres_has
from benchmarks.stamps import stamp

AT_ONCE = 10
app = App(connector=PsycopgConnector(conninfo=DATABASE_URL, min_size=1, max_size=AT_ONCE + 5))


@app.task(name="nop", queue="bench")
async def nop(i: int) -> None:
    stamp(i)


class ProcrastinatePeer(PostgresObserver):
    records = "procrastinate_jobs.status = succeeded"
    count_sql = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'"
    one_sql = "SELECT 1 FROM procrastinate_jobs WHERE id = %s AND status = 'succeeded'"

    def reset(self) -> None:
        if not postgres_has("procrastinate_jobs"):
            with app.open():
                app.schema_manager.apply_schema()
        postgres(
            "TRUNCATE procrastinate_jobs, procrastinate_events, procrastinate_periodic_defers",
            "DELETE FROM procrastinate_workers",
            "VACUUM ANALYZE",
        )

    def connect(self) -> None:
        self.loop = Loop()
        self.loop.run(app.open_async())

    def enqueue(self, numbers: range) -> None:
        async def send() -> None:
            for start in range(0, len(numbers), CHUNK):
                await nop.batch_defer_async(*({"i": i} for i in numbers[start : start + CHUNK]))

        self.loop.run(send())

    def enqueue_one(self, number: int) -> int:
        return int(self.loop.run(nop.defer_async(i=number)))

    def worker(self) -> None:
        asyncio.run(_work())


async def _work() -> None:
    async with app.open_async():
        await app.run_worker_async(queues=["bench"], concurrency=AT_ONCE)


if __name__ == "__main__":
    from benchmarks.peers.steps import main

    main(ProcrastinatePeer())
