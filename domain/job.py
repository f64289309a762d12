"""The job: work that somebody asked for, from the request to its one ending."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from domain.aggregate import Aggregate
from domain.errors import JobEnded, JobRunning, NotDeadLettered, StaleAttempt
from domain.job_events import (
    AttemptFailed,
    AttemptLost,
    AttemptReturned,
    Cancelled,
    Checkpointed,
    Completed,
    DeadLettered,
    Enqueued,
    Removed,
    RetryScheduled,
    Revived,
)
from domain.retry import given_up, retry_delay

KIND = "job"


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
