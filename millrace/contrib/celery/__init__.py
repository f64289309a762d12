"""Celery's interface on Millrace, for applications that come from there; see `docs/migration.md`.

    from millrace.contrib.celery import Celery

    app = Celery("tasks", broker="amqp://localhost")

    @app.task
    def add(x, y):
        return x + y

    add.delay(2, 3).get(timeout=10)

`millrace worker tasks:app` runs it. What cannot be had raises `NotSupported`, which says what there is instead.
"""

from __future__ import annotations

from millrace.contrib.celery.app import Celery, signature
from millrace.contrib.celery.canvas import chain, chord, group
from millrace.contrib.celery.crontab import crontab
from millrace.contrib.celery.errors import (
    MaxRetriesExceededError,
    NotRegistered,
    NotSupported,
    Retry,
    SoftTimeLimitExceeded,
    TaskFailed,
    TaskRevokedError,
    UnknownResult,
)
from millrace.contrib.celery.results import AsyncResult, GroupResult
from millrace.contrib.celery.shared import current_app, shared_task
from millrace.contrib.celery.signature import Signature
from millrace.contrib.celery.task import Task

__all__ = [
    "AsyncResult",
    "Celery",
    "GroupResult",
    "MaxRetriesExceededError",
    "NotRegistered",
    "NotSupported",
    "Retry",
    "Signature",
    "SoftTimeLimitExceeded",
    "Task",
    "TaskFailed",
    "TaskRevokedError",
    "UnknownResult",
    "chain",
    "chord",
    "crontab",
    "current_app",
    "group",
    "shared_task",
    "signature",
]
