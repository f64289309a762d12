"""The queue: in which order its jobs run, how many at once and how often, and whether any do."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Self

from domain.aggregate import Aggregate, Event

KIND = "queue"
DEFAULTS: dict[str, Any] = {
    "order": "strict",
    "aging": 60.0,
    "weights": {},
    "concurrency": None,
    "rate": None,
    "per_name": {},
    "per_key": None,
}


class Opened(Event):
    TOPIC: ClassVar[str] = "queue.opened"
    name: str

    def apply(self, queue: Queue) -> None:
        queue.name = self.name


class Configured(Event):
    TOPIC: ClassVar[str] = "queue.configured"
    order: str
    aging: float
    weights: dict[str, float]
    concurrency: int | None
    rate: dict[str, Any] | None
    per_name: dict[str, dict[str, Any]]
    per_key: dict[str, Any] | None

    def apply(self, queue: Queue) -> None:
        queue.settings = {
            "order": self.order,
            "aging": self.aging,
            "weights": self.weights,
            "concurrency": self.concurrency,
            "rate": self.rate,
            "per_name": self.per_name,
            "per_key": self.per_key,
        }


class Paused(Event):
    TOPIC: ClassVar[str] = "queue.paused"
    reason: str | None

    def apply(self, queue: Queue) -> None:
        queue.paused = True


class Resumed(Event):
    TOPIC: ClassVar[str] = "queue.resumed"

    def apply(self, queue: Queue) -> None:
        queue.paused = False


class Queue(Aggregate):
    """The rules of one queue. A queue that nobody has told anything follows the configuration file.

    Attributes:
        settings: None until the queue was configured; then all of them, so that the file has no say any more.
    """

    KIND: ClassVar[str] = KIND

    name: str

    def __base_init__(self, originator_id: Any, originator_version: int, timestamp: datetime) -> None:
        super().__base_init__(originator_id, originator_version, timestamp)
        self.paused = False
        self.settings: dict[str, Any] | None = None

    @classmethod
    def open(cls, stream: str, now: datetime, name: str) -> Self:
        return cls.created_by(Opened(stream, 1, now, name))

    def configure(self, settings: dict[str, Any], now: datetime) -> None:
        """Gives the queue these settings, all of them. The same ones change nothing."""
        if settings != self.settings:
            self.trigger_event(Configured, timestamp=now, **settings)

    def pause(self, reason: str | None, now: datetime) -> None:
        """Has no further job started; those that run go on. Repeating changes nothing."""
        if not self.paused:
            self.trigger_event(Paused, timestamp=now, reason=reason)

    def resume(self, now: datetime) -> None:
        """Has jobs started again. Repeating changes nothing."""
        if self.paused:
            self.trigger_event(Resumed, timestamp=now)

    def to_wire(self) -> dict[str, Any]:
        return {"name": self.name, "paused": self.paused, **(self.settings or {})}
