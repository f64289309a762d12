"""Jobs as events, with fixed odd values."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from domain import job_events
from tests.controls.clock import NOW, later

STREAM = "job:acme:11"
STARTED_AT, FAILED_AT, COMPLETED_AT, CANCELLED_AT = later(1), later(2), later(3), later(4)
FIXED = {"kind": "fixed", "delay": 11.1, "factor": 2.0, "max_delay": 3_600.0, "jitter": 0.0}
NEVER = {**FIXED, "kind": "none"}
EXPONENTIAL = {"kind": "exponential", "delay": 1.5, "factor": 3.0, "max_delay": 100.0, "jitter": 0.25}
BROKEN_PIPE = {"type": "OSError", "message": "broken pipe", "traceback": "line 17"}


def wish(**changed: Any) -> dict[str, Any]:
    """Arguments of `Job.enqueue`."""
    return {
        "name": "transcribe",
        "data": {"file": "a-17.wav", "speed": 1.1},
        "queue": "media",
        "priority": 7,
        "max_attempts": 3,
        "timeout": 61.5,
        "retry": FIXED,
        "run_at": None,
        "queue_priority": 2,
        "unique": None,
        "after": None,
        "on_parent_failure": None,
        "batch": None,
        "key": None,
        "affinity": None,
    } | changed


def enqueued(**changed: Any) -> job_events.Enqueued:
    return job_events.Enqueued(STREAM, 1, NOW, **wish(**changed))


def started(version: int, attempt: int = 1, at: datetime = STARTED_AT, worker: str = "w-5") -> job_events.Started:
    return job_events.Started(STREAM, version, at, attempt=attempt, worker=worker)


def checkpointed(version: int, state: Any, number: int = 0, attempt: int = 1) -> job_events.Checkpointed:
    return job_events.Checkpointed(STREAM, version, later(1.5), attempt=attempt, state=state, number=number)


def failed(version: int, attempt: int = 1, at: datetime = FAILED_AT) -> job_events.AttemptFailed:
    return job_events.AttemptFailed(STREAM, version, at, attempt=attempt, error=BROKEN_PIPE)


def scheduled(version: int, attempt: int, at: datetime, run_at: datetime) -> job_events.RetryScheduled:
    return job_events.RetryScheduled(STREAM, version, at, attempt=attempt, run_at=run_at)


def completed(
    version: int, attempt: int = 1, at: datetime = COMPLETED_AT, result: Any = "done"
) -> job_events.Completed:
    return job_events.Completed(STREAM, version, at, attempt=attempt, result=result)


def dead(version: int, attempt: int, reason: str, at: datetime = FAILED_AT) -> job_events.DeadLettered:
    return job_events.DeadLettered(STREAM, version, at, attempt=attempt, reason=reason)


def cancelled(version: int, at: datetime = CANCELLED_AT, reason: str | None = None) -> job_events.Cancelled:
    return job_events.Cancelled(STREAM, version, at, reason=reason)


def dead_lettered() -> tuple[job_events.JobEvent, ...]:
    """A job whose one attempt has failed."""
    return enqueued(max_attempts=1), started(2), failed(3), dead(4, 1, "its one attempt failed")
