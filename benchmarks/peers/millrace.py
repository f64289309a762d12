"""Millrace: `millrace serve` with its relay and projections on, `millrace worker`, and the client's bulk call.

Over AMQP, or with BENCH_TRANSPORT=http over HTTP. A job counts as recorded when the read model `jobs` says `completed`,
and everything is published when the relay has had every event confirmed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from benchmarks.peers.base import (
    CHUNK,
    CONCURRENCY,
    DATABASE_URL,
    RABBITMQ_URL,
    Loop,
    PostgresObserver,
    Serving,
    postgres,
)
from benchmarks.stamps import stamp
from millrace import Millrace

QUEUE = "bench"
HTTP = os.environ.get("BENCH_TRANSPORT") == "http"
URL = f"http://127.0.0.1:{os.environ.get('BENCH_PORT', '8000')}" if HTTP else RABBITMQ_URL

app = Millrace(URL or None)


@app.job("nop", queue=QUEUE)
async def nop(i: int) -> int:
    stamp(i)
    return i


class MillracePeer(PostgresObserver, Serving):
    records = "the read model jobs, status completed"
    count_sql = (
        "SELECT count(*) FROM jobs WHERE tenant = 'default' AND status = 'completed' AND position > "
        + os.environ.get("BENCH_AFTER", "0")
    )
    one_sql = "SELECT 1 FROM jobs WHERE tenant = 'default' AND id = %s AND status = 'completed'"
    published_sql = "SELECT r.position >= s.head FROM readers r, store s WHERE r.name = 'relay'"

    def reset(self) -> None:
        postgres("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")

    def service(self) -> None:
        environment = {
            **os.environ,
            "DATABASE_URL": DATABASE_URL,
            "RABBITMQ_URL": RABBITMQ_URL,
            "MILLRACE_PORT": os.environ["BENCH_PORT"],
            "MILLRACE_MODULES__JOBS__MONITORING__ENABLED": "false",
        }
        os.execve(_millrace(), [_millrace(), "serve"], environment)

    def worker(self) -> None:
        command = [_millrace(), "worker", "benchmarks.peers.millrace:app"]
        os.execv(_millrace(), [*command, "--concurrency", str(CONCURRENCY), "--queues", QUEUE, "--grace", "1"])

    def connect(self) -> None:
        self.loop = Loop()

    def enqueue(self, numbers: range) -> None:
        async def send() -> None:
            for start in range(0, len(numbers), CHUNK):
                await app.jobs.enqueue_many({"name": "nop", "data": {"i": i}} for i in numbers[start : start + CHUNK])

        self.loop.run(send())

    def enqueue_one(self, number: int) -> str:
        return str(self.loop.run(app.jobs.enqueue("nop", {"i": number})).id)

    def close(self) -> None:
        self.loop.run(app.close())

    def is_published(self) -> bool:
        row = self.observing.execute(self.published_sql).fetchone()
        return row is not None and bool(row[0])


def _millrace() -> str:
    return str(Path(sys.executable).parent / "millrace")


if __name__ == "__main__":
    from benchmarks.peers.steps import main

    main(MillracePeer())
