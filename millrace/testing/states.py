"""What the in-memory service knows about each aggregate, folded from its events."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

from millrace.contracts import batch
from millrace.contracts.wire import Fact
from millrace.testing.circuit_state import CircuitState
from millrace.testing.job_state import JobState
from millrace.testing.notification_state import InboxState, NotificationState, TemplateState
from millrace.testing.progress_state import ProgressState
from millrace.testing.queue_state import QueueState
from millrace.testing.schedule_state import ScheduleState
from millrace.testing.subscription_state import SubscriptionState


class State(Protocol):
    """One aggregate as of its last event."""

    version: int

    def apply(self, fact: Fact, at: datetime, position: int) -> None:
        """Takes in the next event."""
        ...

    def to_wire(self) -> dict[str, Any]:
        """The state as `log.state` shows it."""
        ...


class Published(Fact):
    """An application's own event."""

    event_type: str
    payload: dict[str, Any]


class PublicationState:
    """An application's own event: a stream with one entry."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.version = 0
        self.event_type = ""
        self.payload: dict[str, Any] = {}

    def apply(self, fact: Fact, at: datetime, position: int) -> None:
        self.version += 1
        if isinstance(fact, Published):
            self.event_type, self.payload = fact.event_type, fact.payload

    def to_wire(self) -> dict[str, Any]:
        return {"event_type": self.event_type, "payload": self.payload}


class BatchState:
    """A batch, without its jobs."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.version = self.first_position = 0
        self.name = ""
        self.on_complete: dict[str, Any] | None = None
        self.on_success: dict[str, Any] | None = None
        self.is_sealed = self.is_cancelled = False
        self.created_at: datetime | None = None
        self.completed_at: datetime | None = None
        self.succeeded_at: datetime | None = None

    @property
    def is_complete(self) -> bool:
        return self.completed_at is not None

    @property
    def is_success(self) -> bool:
        return self.succeeded_at is not None

    def apply(self, fact: Fact, at: datetime, position: int) -> None:
        self.version += 1
        match fact:
            case batch.BatchCreated():
                self.name, self.on_complete, self.on_success = fact.name, fact.on_complete, fact.on_success
                self.first_position, self.created_at = position, at
            case batch.BatchSealed():
                self.is_sealed = True
            case batch.BatchCancelled():
                self.is_sealed = self.is_cancelled = True
            case batch.BatchCompleted():
                self.completed_at = at
            case batch.BatchSucceeded():
                self.succeeded_at = at
            case _:
                raise TypeError(f"{fact!r} is no event of a batch")

    def to_wire(self) -> dict[str, Any]:
        names = ("name", "on_complete", "on_success", "is_sealed", "is_cancelled", "created_at", "completed_at")
        return {name: getattr(self, name) for name in (*names, "succeeded_at")}


KINDS: dict[
    str,
    type[JobState]
    | type[BatchState]
    | type[QueueState]
    | type[CircuitState]
    | type[ScheduleState]
    | type[SubscriptionState]
    | type[ProgressState]
    | type[NotificationState]
    | type[InboxState]
    | type[TemplateState]
    | type[PublicationState],
] = {
    "job": JobState,
    "batch": BatchState,
    "queue": QueueState,
    "circuit": CircuitState,
    "schedule": ScheduleState,
    "subscription": SubscriptionState,
    "progress": ProgressState,
    "notification": NotificationState,
    "inbox": InboxState,
    "template": TemplateState,
    "event": PublicationState,
}


def new_state(kind: str, id: str) -> State:
    """The state of an aggregate before its first event."""
    return KINDS[kind](id)
