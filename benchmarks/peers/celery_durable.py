"""Celery set up to lose nothing: RabbitMQ with confirms, late acknowledgement, results and starts in PostgreSQL."""

from __future__ import annotations

from celery import Celery

from benchmarks.peers.base import DATABASE_URL, RABBITMQ_URL, PostgresObserver, postgres
from benchmarks.peers.celery_base import CeleryPeer
from benchmarks.stamps import stamp

app = Celery(
    "bench", broker=RABBITMQ_URL, backend="db+" + DATABASE_URL.replace("postgresql://", "postgresql+psycopg://", 1)
)
app.conf.update(
    broker_transport_options={"confirm_publish": True},
    task_default_queue="bench.celery.durable",
    task_default_delivery_mode="persistent",
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_track_started=True,
    worker_prefetch_multiplier=64,  # what its documentation advises for short tasks
    worker_send_task_events=False,
)


@app.task(name="nop")
def nop(i: int) -> int:
    stamp(i)
    return i


class CeleryDurable(CeleryPeer, PostgresObserver):
    records = "celery_taskmeta.status = SUCCESS"
    count_sql = "SELECT count(*) FROM celery_taskmeta WHERE status = 'SUCCESS'"
    one_sql = "SELECT 1 FROM celery_taskmeta WHERE task_id = %s AND status = 'SUCCESS'"
    application, task = app, nop
    app = "benchmarks.peers.celery_durable:app"
    arguments = ("--pool=prefork", "-c", "2")

    def reset(self) -> None:
        self.application.backend.ResultSession().close()  # makes the tables
        postgres("TRUNCATE celery_taskmeta", "VACUUM ANALYZE celery_taskmeta")


if __name__ == "__main__":
    from benchmarks.peers.steps import main

    main(CeleryDurable())
