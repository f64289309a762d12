"""One job in memory, folded from its events."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from millrace.contracts import deadletter
from millrace.contracts import job as contract
from millrace.contracts.wire import Fact

LONG_AGO = datetime.fromtimestamp(0, UTC)


@dataclass(slots=True)
class JobState:
    """A job. `attempt` numbers every start for ever; `attempts` counts those that were used up.

    Attributes:
        first_position: of its first event.
        position: of the event that gave it its place.
    """

    id: str
    version: int = 0
    first_position: int = 0
    position: int = 0
    name: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    queue: str = "default"
    priority: int = 0
    queue_priority: int = 0
    key: str | None = None
    max_attempts: int = 1
    granted_attempts: int = 1
    timeout: float = 300.0
    retry: dict[str, Any] = field(default_factory=dict)
    status: str = "pending"
    attempt: int = 0
    attempts: int = 0
    worker: str | None = None
    cancel_reason: str | None = None
    heartbeat: dict[str, Any] | None = None
    checkpoint: Any = None
    checkpoint_number: int = 0
    created_at: datetime = LONG_AGO
    run_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    result: Any = None
    errors: list[dict[str, Any]] = field(default_factory=list)
    dead_lettered: bool = False
    removed: bool = False
    died_at: datetime | None = None
    died_in: int = 0
    died_with: int = 0
    before_edits: list[dict[str, Any]] = field(default_factory=list)
    undone: str | None = None
    moved_at: datetime = LONG_AGO
    unique: dict[str, Any] | None = None
    after: list[str] | None = None
    on_parent_failure: str | None = None
    batch: str | None = None
    affinity: float | None = None

    @property
    def ended(self) -> bool:
        return self.status in ("completed", "failed", "cancelled")

    @property
    def waits(self) -> bool:
        """Whether it has not ended and no attempt is running."""
        return self.status in ("pending", "delayed")

    def apply(self, fact: Fact, at: datetime, position: int) -> None:
        self.version += 1
        self.moved_at = at
        if not (isinstance(fact, contract.JobChanged) and fact.changed == ("data",)):
            self.position = position
        match fact:
            case contract.JobEnqueued():
                self.first_position, self.created_at = position, at
                self.name, self.data, self.queue, self.priority = fact.name, fact.data, fact.queue, fact.priority
                self.queue_priority, self.key = fact.queue_priority, fact.key
                self.max_attempts = self.granted_attempts = fact.max_attempts
                self.timeout, self.retry, self.run_at = fact.timeout, fact.retry, fact.run_at
                self.unique, self.after, self.on_parent_failure = fact.unique, fact.after, fact.on_parent_failure
                self.batch, self.affinity = fact.batch, fact.affinity
                self.status = "pending" if fact.run_at is None and not fact.after else "delayed"
            case contract.JobChanged():
                self.priority, self.queue_priority, self.queue = fact.priority, fact.queue_priority, fact.queue
                self.data, self.run_at, self.status = fact.data, fact.run_at, fact.status
            case contract.JobStarted():
                self.status, self.attempt, self.worker = "processing", fact.attempt, fact.worker
                self.started_at, self.run_at, self.heartbeat = at, None, None
                self.attempts += 1
                self.checkpoint_number = 0
            case contract.JobCheckpointed():
                self.checkpoint, self.checkpoint_number = fact.state, fact.number
            case contract.JobCompleted():
                self.status, self.result, self.ended_at, self.worker = "completed", fact.result, at, None
            case contract.JobAttemptFailed():
                self.status, self.worker = "pending", None
                self.errors.append({"attempt": fact.attempt, **fact.error.model_dump(), "at": at})
            case contract.JobAttemptReturned():
                self.status, self.worker = "pending", None
                self.attempts -= 1
            case contract.JobRetryScheduled():
                self.status, self.run_at = "delayed", fact.run_at
            case contract.JobDeadLettered():
                self.status, self.dead_lettered, self.ended_at = "failed", True, at
            case contract.JobRevived():
                self.died_at, self.died_in, self.died_with = self.ended_at, self.attempt, self.max_attempts
                self.status, self.dead_lettered, self.ended_at = "pending", False, None
                self.max_attempts = fact.max_attempts
            case contract.JobCancelled():
                self.status, self.ended_at, self.run_at, self.worker = "cancelled", at, None, None
                self.cancel_reason = fact.reason
            case deadletter.JobEdited():
                self.before_edits.append(self.data)
                self.data = fact.data
            case deadletter.JobEditUndone():
                self.before_edits.pop()
                self.data, self.undone = fact.data, "edit"
            case deadletter.JobRetryUndone():
                self.status, self.dead_lettered, self.ended_at = "failed", True, fact.failed_at
                self.max_attempts, self.run_at, self.died_at = fact.max_attempts, None, None
                self.undone = "retry"
            case contract.JobRemoved():
                self.removed = True
            case _:
                raise TypeError(f"{fact!r} is no event of a job")

    def view(self) -> dict[str, Any]:
        """The job as `job.get` and `job.list` show it."""
        last = self.errors[-1] if self.errors and self.status != "completed" else None
        shown = self._shown()
        return shown | {
            "id": self.id,
            "version": self.version,
            "error": last["message"] if last else None,
            "error_detail": last,
            "errors": list(self.errors),
            "heartbeat": self.heartbeat if self.status == "processing" else None,
        }

    def to_wire(self) -> dict[str, Any]:
        last = self.errors[-1]["message"] if self.errors else None
        return self._shown() | {
            "cancel_reason": self.cancel_reason,
            "checkpoint": self.checkpoint,
            "error": last,
            "removed": self.removed,
            "unique": self.unique,
            "after": self.after,
            "on_parent_failure": self.on_parent_failure,
            "batch": self.batch,
        }

    def _shown(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "data": self.data,
            "queue": self.queue,
            "priority": self.priority,
            "status": self.status,
            "attempts": self.attempts,
            "max_attempts": self.max_attempts,
            "timeout": self.timeout,
            "created_at": self.created_at,
            "run_at": self.run_at,
            "started_at": self.started_at,
            "completed_at": self.ended_at if self.status == "completed" else None,
            "failed_at": self.ended_at if self.status == "failed" else None,
            "result": self.result,
            "dead_lettered": self.dead_lettered,
            "worker": self.worker,
            "key": self.key,
        }
