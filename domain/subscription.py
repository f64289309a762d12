"""A durable named subscription: which events somebody wants, and how far they have got."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Self

from domain.aggregate import Aggregate, Event
from domain.errors import AheadOfLog, NotParked, TooManyParked

KIND = "subscription"
MOST_PARKED = 1_000


class Created(Event):
    TOPIC: ClassVar[str] = "subscription.created"
    name: str
    pattern: str
    delivery: str
    position: int
    priority: int
    max_attempts: int

    def apply(self, subscription: Subscription) -> None:
        subscription.name, subscription.pattern, subscription.delivery = self.name, self.pattern, self.delivery
        subscription.position, subscription.priority = self.position, self.priority
        subscription.max_attempts = self.max_attempts


class Changed(Event):
    TOPIC: ClassVar[str] = "subscription.changed"
    pattern: str
    delivery: str
    priority: int
    max_attempts: int

    def apply(self, subscription: Subscription) -> None:
        subscription.pattern, subscription.delivery = self.pattern, self.delivery
        subscription.priority, subscription.max_attempts = self.priority, self.max_attempts


class Advanced(Event):
    TOPIC: ClassVar[str] = "subscription.advanced"
    position: int

    def apply(self, subscription: Subscription) -> None:
        subscription.position = self.position


class Parked(Event):
    TOPIC: ClassVar[str] = "subscription.parked"
    position: int
    event_id: str
    error: str
    attempts: int

    def apply(self, subscription: Subscription) -> None:
        subscription.parked[self.event_id] = {
            "event_id": self.event_id,
            "position": self.position,
            "error": self.error,
            "attempts": self.attempts,
            "at": self.timestamp.isoformat(),
        }
        subscription.position = max(subscription.position, self.position)


class Released(Event):
    TOPIC: ClassVar[str] = "subscription.released"
    event_id: str

    def apply(self, subscription: Subscription) -> None:
        subscription.parked.pop(self.event_id, None)


class Activated(Event):
    TOPIC: ClassVar[str] = "subscription.activated"

    def apply(self, subscription: Subscription) -> None:
        subscription.is_active = True


class Paused(Event):
    TOPIC: ClassVar[str] = "subscription.paused"

    def apply(self, subscription: Subscription) -> None:
        subscription.is_active = False


class Subscription(Aggregate):
    """A reader's place in the log. It only moves forward; an event that cannot be handled is parked, not lost."""

    KIND: ClassVar[str] = KIND

    name: str
    pattern: str
    delivery: str
    position: int
    priority: int
    max_attempts: int

    def __base_init__(self, originator_id: Any, originator_version: int, timestamp: datetime) -> None:
        super().__base_init__(originator_id, originator_version, timestamp)
        self.is_active = True
        self.parked: dict[str, dict[str, Any]] = {}

    @classmethod
    def create(
        cls,
        stream: str,
        now: datetime,
        *,
        name: str,
        pattern: str,
        delivery: str,
        position: int,
        priority: int,
        max_attempts: int,
    ) -> Self:
        return cls.created_by(Created(stream, 1, now, name, pattern, delivery, position, priority, max_attempts))

    def change(self, *, pattern: str, delivery: str, priority: int, max_attempts: int, now: datetime) -> None:
        """Gives an existing subscription other settings; its place stays. The same settings change nothing."""
        wanted = (pattern, delivery, priority, max_attempts)
        if wanted != (self.pattern, self.delivery, self.priority, self.max_attempts):
            self.trigger_event(
                Changed, timestamp=now, pattern=pattern, delivery=delivery, priority=priority, max_attempts=max_attempts
            )

    def acknowledge(self, position: int, head: int, now: datetime) -> None:
        """Moves the place forward; an older position changes nothing.

        Raises:
            AheadOfLog: the log does not reach `position`.
        """
        if position > head:
            raise AheadOfLog(self.name, position, head)
        if position > self.position:
            self.trigger_event(Advanced, timestamp=now, position=position)

    def park(self, position: int, event_id: str, error: str, attempts: int, now: datetime) -> None:
        """Sets one event aside and moves on behind it. Parking it again changes nothing.

        Raises:
            TooManyParked: the list is full.
        """
        if event_id not in self.parked:
            if len(self.parked) >= MOST_PARKED:
                raise TooManyParked(self.name, MOST_PARKED)
            self.trigger_event(
                Parked, timestamp=now, position=position, event_id=event_id, error=error, attempts=attempts
            )

    def release(self, event_id: str, now: datetime) -> None:
        """Takes an event off the parked list.

        Raises:
            NotParked: it is not on the list.
        """
        if event_id not in self.parked:
            raise NotParked(self.name, event_id)
        self.trigger_event(Released, timestamp=now, event_id=event_id)

    def set_active(self, active: bool, now: datetime) -> None:
        """Resumes or pauses delivery; the place stays."""
        if active != self.is_active:
            self.trigger_event(Activated if active else Paused, timestamp=now)

    def to_wire(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "pattern": self.pattern,
            "delivery": self.delivery,
            "priority": self.priority,
            "max_attempts": self.max_attempts,
            "is_active": self.is_active,
            "position": self.position,
            "parked": list(self.parked.values()),
        }
