"""The log in memory: every event in one order, and each aggregate's state as of its last."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from millrace.contracts.batch import EVENTS as BATCH_EVENTS
from millrace.contracts.catalogue import VERSIONS
from millrace.contracts.circuit import EVENTS as CIRCUIT_EVENTS
from millrace.contracts.deadletter import EVENTS as DEAD_LETTER_EVENTS
from millrace.contracts.event import EVENTS as SUBSCRIPTION_EVENTS
from millrace.contracts.inbox import EVENTS as INBOX_EVENTS
from millrace.contracts.job import EVENTS as JOB_EVENTS
from millrace.contracts.notification_events import EVENTS as NOTIFICATION_EVENTS
from millrace.contracts.progress import EVENTS as PROGRESS_EVENTS
from millrace.contracts.queue import EVENTS as QUEUE_EVENTS
from millrace.contracts.schedule_events import EVENTS as SCHEDULE_EVENTS
from millrace.contracts.template import EVENTS as TEMPLATE_EVENTS
from millrace.contracts.wire import Context, Fact, Token, derived_id, matches
from millrace.testing.refusals import Refusal
from millrace.testing.states import Published, State, new_state

EVENTS = {
    **JOB_EVENTS,
    **BATCH_EVENTS,
    **DEAD_LETTER_EVENTS,
    **QUEUE_EVENTS,
    **SCHEDULE_EVENTS,
    **NOTIFICATION_EVENTS,
    **INBOX_EVENTS,
    **CIRCUIT_EVENTS,
    **TEMPLATE_EVENTS,
    **SUBSCRIPTION_EVENTS,
    **PROGRESS_EVENTS,
}
TYPES = {kind: name for name, kind in EVENTS.items()}
ADVANCED = "subscription.advanced"


class Stream(NamedTuple):
    """One aggregate's place."""

    kind: str
    tenant: str
    id: str


@dataclass(frozen=True, slots=True)
class Origin:
    """What an event keeps of the message that caused it."""

    company: str | None
    correlation_id: str | None
    causation_id: str | None
    traceparent: str | None
    actor: str | None = None

    @classmethod
    def of(cls, context: Context, first: Origin | None = None) -> Origin:
        """Of a command's context; what continues an aggregate keeps the correlation of its `first` event."""
        cause = context.causation_id or context.message_id
        if first is not None:
            return cls(first.company, first.correlation_id, cause, first.traceparent, context.actor)
        correlation = context.correlation_id or context.message_id
        return cls(context.company, correlation, cause, context.traceparent, context.actor)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One event."""

    position: int
    stream: Stream
    version: int
    fact: Fact
    at: datetime
    origin: Origin

    @property
    def event_type(self) -> str:
        return self.fact.event_type if isinstance(self.fact, Published) else TYPES[type(self.fact)]


class MemoryLog:
    """All events, and the states that follow from them."""

    def __init__(self) -> None:
        self.epoch = uuid.uuid4().hex[:12]
        self.events: list[Recorded] = []
        self.streams: dict[Stream, list[Recorded]] = {}
        self.states: dict[Stream, State] = {}

    @property
    def head(self) -> int:
        return len(self.events)

    def append(self, stream: Stream, facts: Sequence[Fact], origin: Origin, at: datetime) -> State:
        """Records the facts and returns the aggregate's state after them."""
        state = self.states.get(stream) or self.states.setdefault(stream, new_state(stream.kind, stream.id))
        history = self.streams.setdefault(stream, [])
        for fact in facts:
            recorded = Recorded(self.head + 1, stream, len(history) + 1, fact, at, origin)
            self.events.append(recorded)
            history.append(recorded)
            state.apply(fact, at, recorded.position)
        return state

    def matching(self, tenant: str, pattern: str, after: int) -> Iterator[Recorded]:
        """The tenant's events behind a position that match; the advances of subscriptions only for who names them."""
        quiet = not pattern.startswith("subscription")
        for recorded in self.events[after:]:
            name = recorded.event_type
            if recorded.stream.tenant == tenant and not (quiet and name == ADVANCED) and matches(pattern, name):
                yield recorded

    def token(self, position: int) -> str:
        return str(Token(epoch=self.epoch, position=position))

    def position_of(self, text: str) -> int:
        """The position that a token, `beginning` or `head` means.

        Raises:
            Refusal: `invalid` for what is no position, `reset` for one of another log.
        """
        if text in ("beginning", "head"):
            return 0 if text == "beginning" else self.head
        try:
            token = Token.parse(text)
        except ValueError as error:
            raise Refusal("invalid", str(error)) from error
        if token.epoch != self.epoch or token.position > self.head:
            raise Refusal("reset", f"position {text} is not one of this log; start again from 'beginning'")
        return token.position

    def cloud_event(self, recorded: Recorded) -> dict[str, Any]:
        """The event as it goes over the wire."""
        fact, stream, origin, name = recorded.fact, recorded.stream, recorded.origin, recorded.event_type
        own = isinstance(fact, Published)
        optional = {
            "company": origin.company,
            "correlationid": origin.correlation_id,
            "causationid": origin.causation_id,
            "actor": origin.actor,
            "traceparent": origin.traceparent,
        }
        return {
            "specversion": "1.0",
            "id": derived_id(stream.tenant, f"{self.epoch}/{recorded.position}"),
            "source": f"/millrace/{stream.kind}",
            "type": name if own else f"millrace.{name}.v{VERSIONS.get(name, 1)}",
            "subject": stream.id,
            "time": recorded.at,
            "datacontenttype": "application/json",
            "data": fact.payload if isinstance(fact, Published) else fact.model_dump(),
            "eventtype": name,
            "tenant": stream.tenant,
            "position": self.token(recorded.position),
            "version": recorded.version,
            **{key: value for key, value in optional.items() if value is not None},
        }
