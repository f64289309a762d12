"""An application's own event: published once, relayed like any other, never changed."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Self

from domain.aggregate import Aggregate, Event

KIND = "event"


class Published(Event):
    TOPIC: ClassVar[str] = "event.published"
    event_type: str
    payload: dict[str, Any]

    @property
    def routing_name(self) -> str:
        return self.event_type

    def apply(self, publication: Publication) -> None:
        publication.event_type, publication.payload = self.event_type, self.payload


class Publication(Aggregate):
    """One published event: a stream that ends with its first entry."""

    KIND: ClassVar[str] = KIND

    event_type: str
    payload: dict[str, Any]

    @classmethod
    def publish(cls, stream: str, now: datetime, *, event_type: str, payload: dict[str, Any]) -> Self:
        return cls.created_by(Published(stream, 1, now, event_type, payload))

    @property
    def ended(self) -> bool:
        return True

    def to_wire(self) -> dict[str, Any]:
        return {"event_type": self.event_type, "payload": self.payload}
