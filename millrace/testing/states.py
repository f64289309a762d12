"""What the in-memory service knows about each aggregate, folded from its events."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

from millrace.contracts.wire import Fact
from millrace.testing.job_state import JobState
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


KINDS: dict[
    str, type[JobState] | type[QueueState] | type[ScheduleState] | type[SubscriptionState] | type[PublicationState]
] = {
    "job": JobState,
    "queue": QueueState,
    "schedule": ScheduleState,
    "subscription": SubscriptionState,
    "event": PublicationState,
}


def new_state(kind: str, id: str) -> State:
    """The state of an aggregate before its first event."""
    return KINDS[kind](id)
