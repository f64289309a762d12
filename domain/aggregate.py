"""The seam to the `eventsourcing` library: the base classes of every aggregate and event.

The library's own `DomainEvent` insists on UUID stream ids; ours are text, so the event base stands here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar, Self, cast, dataclass_transform

from eventsourcing.domain import BaseAggregate, CanMutateAggregate, MetaDomainEvent
from eventsourcing.utils import get_topic

from domain.errors import UnreadableHistory


@dataclass_transform(frozen_default=True)
class EventType(MetaDomainEvent):
    """The library's metaclass, which makes each event a frozen dataclass, told to type checkers.

    Registers the declared topic at once, so that whatever was stored resolves; two classes with one topic are refused.
    """

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> None:
        super().__init__(name, bases, namespace)
        if "TOPIC" in namespace:
            get_topic(cls)


class Event(CanMutateAggregate[str], metaclass=EventType):
    """Base of all events: frozen, with a declared `TOPIC` that is its stored name and never derived from the class.

    One that is `PLAIN` is stored neither compressed nor encrypted, because the database itself writes it.

    `apply` copies values into the aggregate and can never refuse: what happened has happened.
    """

    originator_id: str
    originator_version: int
    timestamp: datetime

    TOPIC: ClassVar[str]
    PLAIN: ClassVar[bool] = False
    class_version: ClassVar[int] = 1

    @property
    def routing_name(self) -> str:
        """What topic patterns are matched against: the stored name, unless the event carries a name of its own."""
        return self.TOPIC


class Unreadable(Event):
    """Stands for a stored event that this release cannot decode: it keeps its place, so that only its stream suffers.

    Attributes:
        topic: the name that it is stored under.
        error: why it cannot be decoded.
    """

    TOPIC: ClassVar[str] = "unreadable"
    topic: str
    error: str

    @property
    def routing_name(self) -> str:
        return self.topic

    def apply(self, aggregate: object) -> None:
        """Refuses, as no other event does: a state that leaves out what happened would be a wrong one.

        Raises:
            UnreadableHistory: always.
        """
        raise UnreadableHistory(self.originator_id, self.originator_version, self.topic, self.error)


class Aggregate(BaseAggregate[str]):
    """Base of all aggregates.

    Decisions are public methods that guard and then trigger events; time and ids are arguments. Nothing here reads a
    clock, draws a number or does I/O.
    """

    KIND: ClassVar[str]
    TOPIC: ClassVar[str]

    @property
    def ended(self) -> bool:
        """Whether hardly any command is to be expected any more, so that it need not be kept in memory."""
        return False

    @classmethod
    def created_by(cls, event: Event) -> Self:
        """A new aggregate with `event`, its first, pending."""
        aggregate = cls.shell(event)
        aggregate.pending_events.append(event)
        return aggregate

    @classmethod
    def shell(cls, event: Event) -> Self:
        """An aggregate with the state after its first event."""
        aggregate = cls.__new__(cls)
        aggregate.__base_init__(event.originator_id, event.originator_version, event.timestamp)
        event.apply(aggregate)
        return aggregate

    @classmethod
    def replayed(cls, events: Iterable[Event], aggregate: Self | None = None) -> Self | None:
        """The aggregate after `events`, from nothing or on top of `aggregate`; None where there is no event."""
        for event in events:
            if aggregate is None:
                aggregate = cls.shell(event)
            else:
                event.mutate(aggregate)
        return aggregate

    def collected(self) -> list[Event]:
        """Takes the pending events off the aggregate."""
        return cast("list[Event]", list(self.collect_events()))

    @abstractmethod
    def to_wire(self) -> dict[str, Any]:
        """The state as it is shown to a reader of `log.state`."""
