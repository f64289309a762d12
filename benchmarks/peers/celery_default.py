"""Celery as it comes: no result backend, acknowledged before the handler, no confirms, a process for each core."""

from __future__ import annotations

from celery import Celery

from benchmarks.peers.base import RABBITMQ_URL
from benchmarks.peers.celery_base import CeleryPeer
from benchmarks.stamps import stamp

app = Celery("bench", broker=RABBITMQ_URL)
app.conf.task_default_queue = "bench.celery"


@app.task(name="nop")
def nop(i: int) -> int:
    stamp(i)
    return i


class CeleryDefault(CeleryPeer):
    application, task = app, nop
    app = "benchmarks.peers.celery_default:app"


if __name__ == "__main__":
    from benchmarks.peers.steps import main

    main(CeleryDefault())
