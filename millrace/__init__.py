"""Millrace: background jobs and events on one durable log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millrace.client import Millrace
from millrace.contracts.job import Job, JobStatus, Retry, Stats
from millrace.contracts.log import CloudEvent
from millrace.errors import (
    Conflict,
    IdempotencyMismatch,
    Invalid,
    JobFailed,
    LogGone,
    LogReset,
    MillraceError,
    NonRetryable,
    NotFound,
    OutcomeUnknown,
    PartlyRefused,
    Refused,
    StaleAttempt,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from millrace.events import Event
from millrace.job_context import JobContext
from millrace.jobs import JobQueue

if TYPE_CHECKING:
    from millrace.worker import Worker

__all__ = [
    "CloudEvent",
    "Conflict",
    "Event",
    "IdempotencyMismatch",
    "Invalid",
    "Job",
    "JobContext",
    "JobFailed",
    "JobQueue",
    "JobStatus",
    "LogGone",
    "LogReset",
    "Millrace",
    "MillraceError",
    "NonRetryable",
    "NotFound",
    "OutcomeUnknown",
    "PartlyRefused",
    "Refused",
    "Retry",
    "StaleAttempt",
    "Stats",
    "TooLarge",
    "Unauthorized",
    "Unavailable",
    "Worker",
]


def __getattr__(name: str) -> object:
    # The worker is what a client does without; it is imported by those that ask for it.
    if name == "Worker":
        from millrace.worker import Worker

        return Worker
    raise AttributeError(f"module 'millrace' has no attribute {name!r}")
