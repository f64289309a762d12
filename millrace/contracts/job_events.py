"""The data of the events that a job records."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from millrace.contracts.job_running import ErrorDetail
from millrace.contracts.wire import Fact


class JobEnqueued(Fact):
    """`queue_priority` is what the queue added to the job's own priority; `unique` has `key`, `until` and `ttl`."""

    name: str
    data: dict[str, Any]
    queue: str
    priority: int
    max_attempts: int
    timeout: float
    retry: dict[str, Any]
    run_at: datetime | None = None
    queue_priority: int = 0
    unique: dict[str, Any] | None = None
    after: list[str] | None = None
    on_parent_failure: str | None = None
    key: str | None = None
    batch: str | None = None
    affinity: float | None = None


class JobChanged(Fact):
    """A waiting job got other settings: all of them as they are now, `changed` names those that differ."""

    changed: tuple[str, ...]
    status: str
    priority: int
    queue_priority: int
    queue: str
    run_at: datetime | None = None
    data: dict[str, Any]


class JobStarted(Fact):
    attempt: int
    worker: str


class JobCompleted(Fact):
    attempt: int
    result: Any = None


class JobCheckpointed(Fact):
    """The running attempt saved what the next one continues from."""

    attempt: int
    state: Any
    number: int = 0


class JobAttemptFailed(Fact):
    attempt: int
    error: ErrorDetail


class JobAttemptLost(Fact):
    """The worker's lease lapsed: it died, froze or was cut off."""

    attempt: int
    worker: str


class JobAttemptReturned(Fact):
    """The attempt was handed back unrun, or its grant was never confirmed; it does not count."""

    attempt: int
    reason: str


class JobRetryScheduled(Fact):
    attempt: int
    run_at: datetime


class JobDeadLettered(Fact):
    attempt: int
    reason: str


class JobRevived(Fact):
    """A dead-lettered job got more attempts."""

    max_attempts: int
    reason: str | None = None


class JobCancelled(Fact):
    reason: str | None = None


class JobRemoved(Fact):
    reason: str | None = None


EVENTS: dict[str, type[Fact]] = {
    "job.enqueued": JobEnqueued,
    "job.changed": JobChanged,
    "job.started": JobStarted,
    "job.checkpointed": JobCheckpointed,
    "job.completed": JobCompleted,
    "job.attempt_failed": JobAttemptFailed,
    "job.attempt_lost": JobAttemptLost,
    "job.attempt_returned": JobAttemptReturned,
    "job.retry_scheduled": JobRetryScheduled,
    "job.dead_lettered": JobDeadLettered,
    "job.revived": JobRevived,
    "job.cancelled": JobCancelled,
    "job.removed": JobRemoved,
}


# Events that once had fewer fields; what is not named is of version 1.
VERSIONS: dict[str, int] = {"job.enqueued": 5}
