"""One durable subscription in memory, folded from its events."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from millrace.contracts import event as contract
from millrace.contracts.wire import Fact


class SubscriptionState:
    """A subscription's settings, its place in the log, and the events that it has set aside."""

    def __init__(self, id: str) -> None:
        self.name = id
        self.version = 0
        self.pattern = "#"
        self.delivery = "pull"
        self.place = 0
        self.priority = 5
        self.max_attempts = 5
        self.is_active = True
        self.parked: dict[str, dict[str, Any]] = {}

    @property
    def settings(self) -> tuple[str, str, int, int]:
        return self.pattern, self.delivery, self.priority, self.max_attempts

    def apply(self, fact: Fact, at: datetime, position: int) -> None:
        self.version += 1
        match fact:
            case contract.SubscriptionCreated():
                self.place = fact.position
                self._configure(fact)
            case contract.SubscriptionChanged():
                self._configure(fact)
            case contract.SubscriptionAdvanced():
                self.place = fact.position
            case contract.SubscriptionParked():
                self.parked[fact.event_id] = {**fact.model_dump(), "at": at}
                self.place = max(self.place, fact.position)
            case contract.SubscriptionReleased():
                self.parked.pop(fact.event_id, None)
            case contract.SubscriptionActivated():
                self.is_active = True
            case contract.SubscriptionPaused():
                self.is_active = False
            case _:
                raise TypeError(f"{fact!r} is no event of a subscription")

    def _configure(self, fact: contract.SubscriptionCreated | contract.SubscriptionChanged) -> None:
        self.pattern, self.delivery = fact.pattern, fact.delivery
        self.priority, self.max_attempts = fact.priority, fact.max_attempts

    def view(self, token: Callable[[int], str], parked: bool = True) -> dict[str, Any]:
        """The subscription as it is read; positions as tokens."""
        shown = self.to_wire() | {"position": token(self.place)}
        shown["parked"] = [event | {"position": token(event["position"])} for event in shown["parked"] if parked]
        return shown

    def to_wire(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "pattern": self.pattern,
            "delivery": self.delivery,
            "priority": self.priority,
            "max_attempts": self.max_attempts,
            "is_active": self.is_active,
            "position": self.place,
            "parked": list(self.parked.values()),
        }
