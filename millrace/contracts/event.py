"""An application's own events on the wire, and durable named subscriptions to any events."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator

from millrace.contracts.wire import Fact, Identifier, Message, Name, Text, pattern_expression

EventType = Annotated[str, StringConstraints(max_length=180, pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+$")]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\s\x00-\x1f]+$")]

RESERVED_MODULES = frozenset(
    {
        "job",
        "batch",
        "progress",
        "notification",
        "export",
        "cache",
        "search",
        "module",
        "subscription",
        "document",
        "schedule",
        "queue",
        "inbox",
        "template",
    }
)


class Publish(Message):
    """`event.publish`: stores an application's own event and relays it like any other.

    Attributes:
        event_type: two or more words, `financial.invoice.created`; the first is not one of Millrace's own modules.
        payload: a JSON object.
    """

    event_type: EventType
    payload: dict[str, Any] = Field(default_factory=dict)

    @field_validator("event_type")
    @classmethod
    def _not_reserved(cls, value: str) -> str:
        module = value.partition(".")[0]
        if module in RESERVED_MODULES:
            raise ValueError(f"{module!r} is one of Millrace's own modules; begin the event type with another word")
        return value


def _checked_pattern(value: str) -> str:
    pattern_expression(value)
    return value


class Subscribe(Message):
    """`subscription.create`: a durable named subscription; repeating it with the same values changes nothing.

    Attributes:
        pattern: topic pattern over event types, `job.#`.
        delivery: `pull` is read with `log.read` from the acknowledged position; `queue` fills the AMQP queue
            `millrace.sub.<tenant>.<name>`.
        start: `head` begins with the next event, `beginning` with the oldest; or a position token.
        priority: 1 to 10; higher is delivered first where one consumer has several.
        max_attempts: deliveries of one event before it is parked.
    """

    name: Name
    pattern: Pattern
    delivery: Literal["pull", "queue"] = "pull"
    start: str = "head"
    priority: Annotated[int, Field(ge=1, le=10)] = 5
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 5

    _pattern = field_validator("pattern")(_checked_pattern)

    @field_validator("name")
    @classmethod
    def _fits_a_queue_name(cls, value: str) -> str:
        if len(value.encode()) > 128:
            raise ValueError("may have 128 bytes in UTF-8; it is part of a queue's name")
        return value


class Acknowledge(Message):
    """`subscription.acknowledge`: everything up to `position` has been handled."""

    name: Name
    position: str


class Park(Message):
    """`subscription.park`: sets an event aside that its subscriber could not handle, and goes on behind it."""

    name: Name
    position: str
    event_id: Identifier
    error: Text
    attempts: Annotated[int, Field(ge=1, le=1_000_000)] = 1


class Release(Message):
    """`subscription.release`: a parked event was handled after all, or is given up; it leaves the list."""

    name: Name
    event_id: Identifier


class SetActive(Message):
    """`subscription.set_active`: pauses or resumes a subscription without losing its place."""

    name: Name
    active: bool


class Lease(Message):
    """`subscription.lease`: makes one worker the only one that delivers a subscription, or renews that.

    Attributes:
        seconds: how long nobody else gets it; 0 gives it up.
    """

    name: Name
    worker: Identifier
    seconds: Annotated[float, Field(ge=0, le=3_600)] = 30.0


class Leased(Fact):
    """Answer to `subscription.lease`: whether the worker has it now, and for how many seconds (0 when not)."""

    held: bool
    lease: float


class GetSubscription(Message):
    """Query `subscription.get`."""

    name: Name


class ListSubscriptions(Message):
    """Query `subscription.list`."""


class Subscription(Fact):
    """A subscription as it is read. `parked` lists the events set aside, oldest first."""

    name: str
    pattern: str
    delivery: str
    priority: int
    max_attempts: int
    is_active: bool
    position: str
    parked: tuple[dict[str, Any], ...] = ()


class SubscriptionCreated(Fact):
    name: str
    pattern: str
    delivery: str
    position: int
    priority: int
    max_attempts: int


class SubscriptionChanged(Fact):
    pattern: str
    delivery: str
    priority: int
    max_attempts: int


class SubscriptionAdvanced(Fact):
    position: int


class SubscriptionParked(Fact):
    position: int
    event_id: str
    error: str
    attempts: int


class SubscriptionReleased(Fact):
    event_id: str


class SubscriptionActivated(Fact):
    pass


class SubscriptionPaused(Fact):
    pass


COMMANDS: dict[str, type[Message]] = {
    "event.publish": Publish,
    "subscription.create": Subscribe,
    "subscription.acknowledge": Acknowledge,
    "subscription.park": Park,
    "subscription.release": Release,
    "subscription.set_active": SetActive,
    "subscription.lease": Lease,
}
QUERIES: dict[str, type[Message]] = {
    "subscription.get": GetSubscription,
    "subscription.list": ListSubscriptions,
}
EVENTS: dict[str, type[Fact]] = {
    "subscription.created": SubscriptionCreated,
    "subscription.changed": SubscriptionChanged,
    "subscription.advanced": SubscriptionAdvanced,
    "subscription.parked": SubscriptionParked,
    "subscription.released": SubscriptionReleased,
    "subscription.activated": SubscriptionActivated,
    "subscription.paused": SubscriptionPaused,
}
