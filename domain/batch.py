"""A batch: jobs that belong together, and what follows when all of them have ended."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Self

from domain.aggregate import Aggregate, Event
from domain.errors import BatchEnded

KIND = "batch"


class BatchEvent(Event):
    TOPIC: ClassVar[str] = "batch.event"


class BatchCreated(BatchEvent):
    TOPIC: ClassVar[str] = "batch.created"
    name: str
    on_complete: dict[str, Any] | None
    on_success: dict[str, Any] | None

    def apply(self, batch: Batch) -> None:
        batch.name, batch.on_complete, batch.on_success = self.name, self.on_complete, self.on_success


class BatchSealed(BatchEvent):
    TOPIC: ClassVar[str] = "batch.sealed"

    def apply(self, batch: Batch) -> None:
        batch.is_sealed = True


class BatchCancelled(BatchEvent):
    TOPIC: ClassVar[str] = "batch.cancelled"
    reason: str | None

    def apply(self, batch: Batch) -> None:
        batch.is_sealed = batch.is_cancelled = True


class BatchCompleted(BatchEvent):
    TOPIC: ClassVar[str] = "batch.completed"
    total: int
    completed: int
    failed: int
    cancelled: int

    def apply(self, batch: Batch) -> None:
        batch.completed_at = self.timestamp


class BatchSucceeded(BatchEvent):
    TOPIC: ClassVar[str] = "batch.succeeded"
    total: int

    def apply(self, batch: Batch) -> None:
        batch.succeeded_at = self.timestamp


class Batch(Aggregate):
    """Jobs name their batch; it takes no more once it is sealed. It completes once, when all of them have ended, and
    succeeds once, when all have completed: later, where dead letters had to be retried first."""

    KIND: ClassVar[str] = KIND

    name: str
    on_complete: dict[str, Any] | None
    on_success: dict[str, Any] | None
    completed_at: datetime | None
    succeeded_at: datetime | None

    def __base_init__(self, originator_id: Any, originator_version: int, timestamp: datetime) -> None:
        super().__base_init__(originator_id, originator_version, timestamp)
        self.is_sealed = self.is_cancelled = False
        self.completed_at = self.succeeded_at = None

    @classmethod
    def create(
        cls,
        stream: str,
        now: datetime,
        *,
        name: str,
        on_complete: dict[str, Any] | None,
        on_success: dict[str, Any] | None,
    ) -> Self:
        """A new batch, to which jobs may be added."""
        return cls.created_by(BatchCreated(stream, 1, now, name, on_complete, on_success))

    def seal(self, now: datetime) -> None:
        """No job comes any more. Repeating changes nothing."""
        if not self.is_sealed:
            self.trigger_event(BatchSealed, timestamp=now)

    def cancel(self, reason: str | None, now: datetime) -> None:
        """No job comes any more, and those that have not ended are to be cancelled. Repeating changes nothing.

        Raises:
            BatchEnded: all of its jobs have ended.
        """
        if self.is_cancelled:
            return
        if self.completed_at is not None:
            raise BatchEnded(self.id)
        self.trigger_event(BatchCancelled, timestamp=now, reason=reason)

    def complete(self, total: int, completed: int, failed: int, cancelled: int, now: datetime) -> bool:
        """All of its jobs have ended; true the first time."""
        if self.completed_at is not None:
            return False
        self.trigger_event(
            BatchCompleted, timestamp=now, total=total, completed=completed, failed=failed, cancelled=cancelled
        )
        return True

    def succeed(self, total: int, now: datetime) -> bool:
        """All of its jobs have completed; true the first time."""
        if self.succeeded_at is not None:
            return False
        self.trigger_event(BatchSucceeded, timestamp=now, total=total)
        return True

    def to_wire(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "on_complete": self.on_complete,
            "on_success": self.on_success,
            "is_sealed": self.is_sealed,
            "is_cancelled": self.is_cancelled,
            "created_at": self.created_on,
            "completed_at": self.completed_at,
            "succeeded_at": self.succeeded_at,
        }
