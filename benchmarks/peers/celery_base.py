"""What both ways of running Celery share."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from benchmarks.peers.base import Peer


class CeleryPeer(Peer):
    """Publishes through one producer, the documented way to send many.

    Attributes:
        app: where the worker finds the application, as `module:attribute`.
        arguments: of the worker.
    """

    task: Any
    application: Any
    app = ""
    arguments: tuple[str, ...] = ()

    def connect(self) -> None:
        self.held = self.application.producer_pool.acquire(block=True)
        self.producer = self.held.__enter__()
        self.producer.connection.ensure_connection()

    def enqueue(self, numbers: range) -> None:
        for i in numbers:
            self.task.apply_async((i,), producer=self.producer)

    def enqueue_one(self, number: int) -> str:
        return str(self.task.apply_async((number,), producer=self.producer).id)

    def close(self) -> None:
        self.held.__exit__(None, None, None)

    def worker(self) -> None:
        program = str(Path(sys.executable).parent / "celery")
        os.execv(program, [program, "-A", self.app, "worker", "-l", "WARNING", *self.arguments])
