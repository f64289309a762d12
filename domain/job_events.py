"""What happens to a job."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from domain.aggregate import Event

if TYPE_CHECKING:
    from domain.job import Job


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
