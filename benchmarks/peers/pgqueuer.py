"""pgqueuer on PostgreSQL (asyncpg, uvloop, batches of 100): one statement for each bulk enqueue."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from benchmarks.peers.base import CHUNK, CONCURRENCY, DATABASE_URL, Loop, PostgresObserver, postgres, postgres_has
from benchmarks.stamps import stamp


class PgqueuerPeer(PostgresObserver):
    records = "pgqueuer_log, status successful (the row of the queue is deleted)"
    count_sql = "SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'"
    one_sql = "SELECT 1 FROM pgqueuer_log WHERE job_id = %s AND status = 'successful'"

    def reset(self) -> None:
        if not postgres_has("pgqueuer"):
            command = [str(Path(sys.executable).parent / "pgq"), "--pg-dsn", DATABASE_URL, "install"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        postgres("TRUNCATE pgqueuer, pgqueuer_log, pgqueuer_statistics", "VACUUM ANALYZE")

    def connect(self) -> None:
        import asyncpg
        from pgqueuer.db import AsyncpgDriver
        from pgqueuer.queries import Queries

        self.loop = Loop()

        async def open_() -> None:
            self.queries = Queries(AsyncpgDriver(await asyncpg.connect(DATABASE_URL)))

        self.loop.run(open_())

    def enqueue(self, numbers: range) -> None:
        async def send() -> None:
            for start in range(0, len(numbers), CHUNK):
                part = numbers[start : start + CHUNK]
                payloads = [str(i).encode() for i in part]
                await self.queries.enqueue(["nop"] * len(part), payloads, [0] * len(part))

        self.loop.run(send())

    def enqueue_one(self, number: int) -> int:
        return int(self.loop.run(self.queries.enqueue("nop", str(number).encode()))[0])

    def worker(self) -> None:
        import uvloop

        uvloop.run(_work())


async def _work() -> None:
    import asyncpg
    from pgqueuer import PgQueuer

    queuer = PgQueuer.from_asyncpg_connection(await asyncpg.connect(DATABASE_URL))

    @queuer.entrypoint("nop")
    async def nop(job) -> None:
        stamp(int(job.payload))

    await queuer.run(batch_size=CONCURRENCY, dequeue_timeout=timedelta(seconds=30))


if __name__ == "__main__":
    from benchmarks.peers.steps import main

    main(PgqueuerPeer())
