"""The job: work that somebody asked for, from the request to its one ending."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from domain.aggregate import Aggregate, Event
from domain.errors import JobEnded, JobRunning, NotDeadLettered, StaleAttempt
from domain.retry import given_up, retry_delay

KIND = "job"
NEVER_CONFIRMED = "its grant was never confirmed"


class JobEvent(Event):
    TOPIC: ClassVar[str] = "job.event"


class Enqueued(JobEvent):
    TOPIC: ClassVar[str] = "job.enqueued"
    class_version: ClassVar[int] = 5
    name: str
    data: dict[str, Any]
    queue: str
    priority: int
    max_attempts: int
    timeout: float
    retry: dict[str, Any]
    run_at: datetime | None
    queue_priority: int
    unique: dict[str, Any] | None
    after: list[str] | None
    on_parent_failure: str | None
    key: str | None
    batch: str | None
    affinity: float | None

    @staticmethod
    def upcast_v1_v2(state: dict[str, Any]) -> None:
        state["unique"] = state["after"] = state["on_parent_failure"] = None

    @staticmethod
    def upcast_v2_v3(state: dict[str, Any]) -> None:
        state["key"] = None

    @staticmethod
    def upcast_v3_v4(state: dict[str, Any]) -> None:
        state["batch"] = None

    @staticmethod
    def upcast_v4_v5(state: dict[str, Any]) -> None:
        state["affinity"] = None

    def apply(self, job: Job) -> None:
        job.name, job.data, job.queue, job.priority = self.name, self.data, self.queue, self.priority
        job.queue_priority, job.key = self.queue_priority, self.key
        job.max_attempts = job.granted_attempts = self.max_attempts
        job.timeout, job.retry, job.run_at = self.timeout, self.retry, self.run_at
        job.unique, job.after, job.on_parent_failure = self.unique, self.after, self.on_parent_failure
        job.batch, job.affinity = self.batch, self.affinity
        job.status = "pending" if self.run_at is None and not self.after else "delayed"


class Started(JobEvent):
    TOPIC: ClassVar[str] = "job.started"
    PLAIN: ClassVar[bool] = True
    attempt: int
    worker: str

    def apply(self, job: Job) -> None:
        job.status = "processing"
        job.ready_at = job.run_at or job.modified_on
        job.attempt, job.worker, job.started_at, job.run_at = self.attempt, self.worker, self.timestamp, None
        job.attempts += 1
        job.checkpoint_number = 0


class Checkpointed(JobEvent):
    TOPIC: ClassVar[str] = "job.checkpointed"
    attempt: int
    state: Any
    number: int

    def apply(self, job: Job) -> None:
        job.checkpoint, job.checkpoint_number = self.state, self.number


class Completed(JobEvent):
    TOPIC: ClassVar[str] = "job.completed"
    attempt: int
    result: Any

    def apply(self, job: Job) -> None:
        job.status, job.result, job.ended_at, job.worker = "completed", self.result, self.timestamp, None


class AttemptFailed(JobEvent):
    TOPIC: ClassVar[str] = "job.attempt_failed"
    attempt: int
    error: dict[str, Any]

    def apply(self, job: Job) -> None:
        job.status, job.worker = "pending", None
        job.error = self.error


class AttemptLost(JobEvent):
    TOPIC: ClassVar[str] = "job.attempt_lost"
    attempt: int
    worker: str

    def apply(self, job: Job) -> None:
        job.status, job.worker = "pending", None
        job.error = {"type": "WorkerLost", "message": f"worker {self.worker} stopped renewing its lease"}


class AttemptReturned(JobEvent):
    TOPIC: ClassVar[str] = "job.attempt_returned"
    attempt: int
    reason: str

    def apply(self, job: Job) -> None:
        job.status, job.worker = "pending", None
        job.attempts -= 1
        job.unconfirmed += self.reason == NEVER_CONFIRMED


class RetryScheduled(JobEvent):
    TOPIC: ClassVar[str] = "job.retry_scheduled"
    attempt: int
    run_at: datetime

    def apply(self, job: Job) -> None:
        job.status, job.run_at = "delayed", self.run_at


class DeadLettered(JobEvent):
    TOPIC: ClassVar[str] = "job.dead_lettered"
    attempt: int
    reason: str

    def apply(self, job: Job) -> None:
        job.status, job.dead_lettered, job.ended_at = "failed", True, self.timestamp


class Revived(JobEvent):
    TOPIC: ClassVar[str] = "job.revived"
    max_attempts: int
    reason: str | None

    def apply(self, job: Job) -> None:
        job.died_at, job.died_in, job.died_with = job.ended_at, job.attempt, job.max_attempts
        job.status, job.dead_lettered, job.ended_at = "pending", False, None
        job.max_attempts = self.max_attempts


class Cancelled(JobEvent):
    TOPIC: ClassVar[str] = "job.cancelled"
    reason: str | None

    def apply(self, job: Job) -> None:
        job.status, job.ended_at, job.run_at, job.worker = "cancelled", self.timestamp, None, None
        job.cancel_reason = self.reason


class Removed(JobEvent):
    TOPIC: ClassVar[str] = "job.removed"
    reason: str | None = None

    def apply(self, job: Job) -> None:
        job.removed = True


class Job(Aggregate):
    """One job.

    `attempt` numbers every start for ever and fences results: only the report of the attempt that is running now is
    recorded. `attempts` counts those that were used up; an attempt handed back unrun is not. `unconfirmed`
    counts the grants that no worker ever confirmed. `died_at`, `died_in` and `died_with` are when a job that was
    taken out of the dead letters had joined them, with which attempt and out of how many; `before_edits` is its
    data before each change that stands, the oldest first. `queue_priority` is what the queue added to every job's own
    priority when this one was enqueued. `unique` has the key that no other job may have meanwhile, until when
    (`started` or `done`), and for how many seconds at most. `after` names the jobs that have to end first. `key`
    is whom the job is for, where queues share or limit by key, and `batch` the batch that it belongs to.
    `affinity` is for how many seconds each attempt would rather wait for the worker that ran its key's last job.
    `checkpoint` is what the next attempt continues from. `ready_at` is when it could have run that has been started.
    """

    KIND: ClassVar[str] = KIND

    name: str
    data: dict[str, Any]
    queue: str
    priority: int
    queue_priority: int
    key: str | None
    max_attempts: int
    granted_attempts: int
    timeout: float
    retry: dict[str, Any]
    run_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    died_at: datetime | None
    status: str
    # A snapshot that was taken before there were any has none of them.
    unique: dict[str, Any] | None = None
    after: list[str] | None = None
    on_parent_failure: str | None = None
    batch: str | None = None
    affinity: float | None = None
    ready_at: datetime | None = None

    def __base_init__(self, originator_id: Any, originator_version: int, timestamp: datetime) -> None:
        super().__base_init__(originator_id, originator_version, timestamp)
        self.attempt = 0
        self.attempts = 0
        self.unconfirmed = 0
        self.worker: str | None = None
        self.cancel_reason: str | None = None
        self.checkpoint: Any = None
        self.checkpoint_number = 0
        self.result: Any = None
        self.error: dict[str, Any] | None = None
        self.started_at = None
        self.ended_at = None
        self.dead_lettered = False
        self.removed = False
        self.died_at = None
        self.died_in = self.died_with = 0
        self.before_edits: list[dict[str, Any]] = []
        self.changed: list[str] = []

    @classmethod
    def enqueue(
        cls,
        stream: str,
        now: datetime,
        *,
        name: str,
        data: dict[str, Any],
        queue: str,
        priority: int,
        max_attempts: int,
        timeout: float,
        retry: dict[str, Any],
        run_at: datetime | None,
        queue_priority: int = 0,
        unique: dict[str, Any] | None = None,
        after: list[str] | None = None,
        on_parent_failure: str | None = None,
        key: str | None = None,
        batch: str | None = None,
        affinity: float | None = None,
    ) -> Self:
        """A new job; one whose `run_at` has come, and that is not `after` others, is runnable at once."""
        due = None if run_at is None or run_at <= now else run_at
        return cls.created_by(
            Enqueued(
                stream, 1, now, name, data, queue, priority, max_attempts, timeout, retry, due, queue_priority,
                unique, after, on_parent_failure, key, batch, affinity,
            )
        )  # fmt: skip

    @property
    def ended(self) -> bool:
        return self.status in ("completed", "failed", "cancelled")

    def complete(self, attempt: int, result: Any, now: datetime) -> None:
        """Ends the job with `result`. A repeated report of the attempt that completed it changes nothing."""
        if self.status == "completed" and attempt == self.attempt:
            return
        self._guard_attempt(attempt)
        self.trigger_event(Completed, timestamp=now, attempt=attempt, result=result)

    def save_checkpoint(self, attempt: int, state: Any, number: int, now: datetime) -> None:
        """Keeps what the next attempt continues from; one that a later one of the attempt has overtaken is dropped."""
        self._guard_attempt(attempt)
        if not number or number > self.checkpoint_number:
            self.trigger_event(Checkpointed, timestamp=now, attempt=attempt, state=state, number=number)

    def fail(
        self, attempt: int, error: dict[str, Any], retryable: bool, now: datetime, retry_after: float | None = None
    ) -> None:
        """Records the attempt's error; then another attempt is scheduled, or the job joins the dead letters.

        Args:
            retry_after: seconds in place of the policy's wait; whether there is another attempt stays the policy's.
        """
        self._guard_attempt(attempt)
        self.trigger_event(AttemptFailed, timestamp=now, attempt=attempt, error=error)
        if retryable:
            self._retry_or_bury(now, retry_after)
        else:
            self.trigger_event(DeadLettered, timestamp=now, attempt=attempt, reason="the error is not retryable")

    def lose(self, attempt: int, worker: str, now: datetime) -> None:
        """Records that the attempt's lease lapsed; the attempt counts, since it may have had effects."""
        self._guard_attempt(attempt)
        self.trigger_event(AttemptLost, timestamp=now, attempt=attempt, worker=worker)
        self._retry_or_bury(now)

    def give_back(self, attempt: int, reason: str, now: datetime, delay: float = 0.0) -> None:
        """Makes the job runnable again, after `delay` seconds, as if the attempt had not been granted."""
        self._guard_attempt(attempt)
        self.trigger_event(AttemptReturned, timestamp=now, attempt=attempt, reason=reason)
        if delay > 0:
            self.trigger_event(RetryScheduled, timestamp=now, attempt=attempt, run_at=now + timedelta(seconds=delay))

    @property
    def waits(self) -> bool:
        """Whether it has not ended and no attempt is running."""
        return self.status in ("pending", "delayed")

    def cancel(self, reason: str | None, now: datetime) -> None:
        """Ends the job wherever it stands; a running attempt loses its validity at once. Repeating changes nothing.

        Raises:
            JobEnded: it has completed or failed.
        """
        if self.status == "cancelled":
            return
        if self.status in ("completed", "failed"):
            raise JobEnded(self.status)
        self.trigger_event(Cancelled, timestamp=now, reason=reason)

    def revive(self, reason: str | None, now: datetime) -> None:
        """Takes the job out of the dead letters, with as many more attempts as it was first given.

        Raises:
            NotDeadLettered: it is not there.
        """
        if not self.dead_lettered or self.removed:
            raise NotDeadLettered("removed" if self.removed else self.status)
        granted = self.attempts + self.granted_attempts
        self.trigger_event(Revived, timestamp=now, max_attempts=granted, reason=reason)

    def remove(self, now: datetime, reason: str | None = None) -> None:
        """Takes the job out of the read models; a waiting one will not run. Repeating changes nothing.

        Raises:
            JobRunning: an attempt is running.
        """
        if self.removed:
            return
        if self.status == "processing":
            raise JobRunning()
        if self.waits:
            self.trigger_event(Cancelled, timestamp=now, reason=reason or "removed")
        self.trigger_event(Removed, timestamp=now, reason=reason)

    def to_wire(self) -> dict[str, Any]:
        ended = self.ended_at
        return {
            "name": self.name,
            "data": self.data,
            "queue": self.queue,
            "priority": self.priority,
            "key": self.key,
            "status": self.status,
            "attempts": self.attempts,
            "max_attempts": self.max_attempts,
            "timeout": self.timeout,
            "created_at": self.created_on,
            "run_at": self.run_at,
            "started_at": self.started_at,
            "completed_at": ended if self.status == "completed" else None,
            "failed_at": ended if self.status == "failed" else None,
            "cancel_reason": self.cancel_reason,
            "checkpoint": self.checkpoint,
            "result": self.result,
            "error": self.error["message"] if self.error else None,
            "dead_lettered": self.dead_lettered,
            "removed": self.removed,
            "unique": self.unique,
            "after": self.after,
            "on_parent_failure": self.on_parent_failure,
            "batch": self.batch,
            "worker": self.worker,
        }

    def _guard_attempt(self, attempt: int) -> None:
        if self.status != "processing" or attempt != self.attempt:
            raise StaleAttempt(attempt, self.attempt, self.status)

    def _retry_or_bury(self, now: datetime, retry_after: float | None = None) -> None:
        reason = given_up(self.retry, self.attempts, self.max_attempts)
        if reason is not None:
            self.trigger_event(DeadLettered, timestamp=now, attempt=self.attempt, reason=reason)
        else:
            wait = retry_delay(self.retry, self.attempts, self.id) if retry_after is None else retry_after
            run_at = now + timedelta(seconds=wait)
            self.trigger_event(RetryScheduled, timestamp=now, attempt=self.attempt, run_at=run_at)
