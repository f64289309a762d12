"""DBOS Transact queues on PostgreSQL, polled each 20 ms; 500 enqueues in a transaction."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.peers.base import DATABASE_URL, PostgresObserver, postgres, postgres_has
from benchmarks.stamps import stamp

URL = DATABASE_URL.replace("postgresql://", "postgresql+psycopg://", 1)
POLL_SECONDS = 0.02
BULK = 500
OPTIONS = {"queue_name": "bench", "workflow_name": "nop"}


class DbosPeer(PostgresObserver):
    records = "dbos.workflow_status.status = SUCCESS"
    count_sql = "SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS' AND queue_name = 'bench'"
    one_sql = "SELECT 1 FROM dbos.workflow_status WHERE workflow_uuid = %s AND status = 'SUCCESS'"

    def reset(self) -> None:
        if not postgres_has("dbos.workflow_status"):
            _launch()
        postgres("TRUNCATE dbos.workflow_status CASCADE", "VACUUM ANALYZE")

    def connect(self) -> None:
        from dbos import DBOSClient

        self.client: Any = DBOSClient(system_database_url=URL)

    def enqueue(self, numbers: range) -> None:
        engine = self.client._sys_db.engine
        for start in range(0, len(numbers), BULK):
            with engine.begin() as connection:
                for i in numbers[start : start + BULK]:
                    self.client.enqueue_in_transaction(connection, dict(OPTIONS), i)

    def enqueue_one(self, number: int) -> str:
        return str(self.client.enqueue(dict(OPTIONS), number).workflow_id)

    def worker(self) -> None:
        _launch()
        while True:
            time.sleep(3600)


def _launch() -> None:
    from dbos import DBOS

    DBOS(
        config={
            "name": "bench",
            "system_database_url": URL,
            "application_version": "1",
            "sys_db_pool_size": 20,
            "log_level": "WARNING",
        }
    )

    @DBOS.workflow(name="nop")
    async def nop(i: int) -> int:
        stamp(i)
        return i

    DBOS.launch()
    DBOS.register_queue("bench", polling_interval_sec=POLL_SECONDS)


if __name__ == "__main__":
    from benchmarks.peers.steps import main

    main(DbosPeer())
