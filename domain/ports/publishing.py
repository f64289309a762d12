"""Where events go to be followed by others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Outgoing(NamedTuple):
    """One event on its way to the broker. `traceparent` is the W3C trace context that `body` carries too."""

    routing_key: str
    message_id: str
    type: str
    body: bytes
    traceparent: str | None = None


class PublishFailed(Exception):
    """Raised when the broker did not confirm every event; each one's fate is unknown, so publish all again."""


class EventPublisher(Protocol):
    """Carries events to the outside bus."""

    async def publish(self, events: Sequence[Outgoing]) -> None:
        """Publishes in order and returns when the broker has confirmed every one.

        Raises:
            PublishFailed: at least one event's fate is unknown; publish all of them again.
        """
        ...
