"""A job as it is read, and the queries that read jobs."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from millrace.contracts.durations import Durations, QueueStats
from millrace.contracts.job_fields import JobStatus, Time, WaitReason
from millrace.contracts.job_logs import KeptLine
from millrace.contracts.wire import Fact, Identifier, Message, Name


def words_of(text: str) -> list[str]:
    """The words that a search for an error looks for: letters and digits, in lower case."""
    return re.findall(r"[^\W_]+", text.lower())


def _with_words(value: str) -> str:
    if not words_of(value):
        raise ValueError("has no word to search for")
    return value


ErrorWords = Annotated[str, Field(max_length=1_000), AfterValidator(_with_words)]


class GetJob(Message):
    """Query `job.get`."""

    job_id: Identifier


class ListJobs(Message):
    """Query `job.list`: newest first, in pages. `status=active` means `processing`.

    Attributes:
        key: whom jobs are for.
        created_after: enqueued at this time or later.
        created_before: enqueued before this time.
        finished_after: completed or failed for good at this time or later.
        finished_before: completed or failed for good before this time.
        error: words that the error of one of its attempts has, all of them, whole and in any case.
        waiting: the reason for which jobs wait, as `job.why` names it.
    """

    status: JobStatus | None = None
    queue: Name | None = None
    name: Name | None = None
    key: Name | None = None
    dead_lettered: bool | None = None
    created_after: Time | None = None
    created_before: Time | None = None
    finished_after: Time | None = None
    finished_before: Time | None = None
    error: ErrorWords | None = None
    waiting: WaitReason | None = None
    limit: Annotated[int, Field(ge=1, le=1_000)] = 50
    cursor: str | None = Field(None, max_length=256)


class JobStats(Message):
    """Query `job.stats`: counts by status, and the workers seen within one lease.

    Attributes:
        queue: only this queue; workers are counted all the same.
        details: also each queue, the oldest waiting job, and how long the newest jobs waited and ran.
    """

    queue: Name | None = None
    details: bool = False


class OpenCircuit(Fact):
    """A name whose circuit breaker is not closed: why, and until when none of its jobs starts."""

    name: str
    state: str
    reason: str | None = None
    until: datetime | None = None


class Stats(Fact):
    """Answer to `job.stats`.

    Attributes:
        oldest_waiting: seconds for which the oldest of the jobs that may run has waited; this and all below only with
            `details`.
        wait: how long jobs that may run waited for their start, by the newest starts.
        unreadable: of these, starts that are not in `wait` because the event before them cannot be decoded; the
            service's log names them.
        run: how long attempts took that completed or failed, by the newest ones.
        circuits: names whose jobs are paused because too many of their attempts fail, or start on trial.
    """

    pending: int = 0
    processing: int = 0
    completed: int = 0
    failed: int = 0
    delayed: int = 0
    cancelled: int = 0
    workers: int = 0
    oldest_waiting: float | None = None
    queues: tuple[QueueStats, ...] = ()
    wait: Durations | None = None
    unreadable: int = 0
    run: Durations | None = None
    circuits: tuple[OpenCircuit, ...] = ()


class AttemptError(Fact):
    """The error of one attempt, as it is read."""

    attempt: int
    type: str
    message: str
    traceback: str | None = None
    at: datetime


class Heartbeat(Fact):
    """What the running attempt last told of itself."""

    at: datetime
    details: dict[str, Any]


class Job(Fact):
    """A job as it is read. `payload` is an alias of `data`, `processed_at` of `started_at`.

    `key` is whom the job is for, where its queue shares or limits by key.
    `heartbeat` is there in `job.get` while an attempt runs that has told something of itself.
    `logs` is read with `job.logs` and stands here in the Python client only, where it was asked for.
    """

    id: str
    name: str
    data: dict[str, Any]
    status: JobStatus
    priority: int = 0
    queue: str = "default"
    attempts: int = 0
    max_attempts: int = 3
    timeout: float = 300.0
    created_at: datetime
    run_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    failed_at: datetime | None = None
    result: Any = None
    error: str | None = None
    error_detail: AttemptError | None = None
    errors: tuple[AttemptError, ...] = ()
    dead_lettered: bool = False
    worker: str | None = None
    key: str | None = None
    version: int = 1
    heartbeat: Heartbeat | None = None
    logs: tuple[KeptLine, ...] = ()

    @property
    def payload(self) -> dict[str, Any]:
        return self.data

    @property
    def processed_at(self) -> datetime | None:
        return self.started_at
