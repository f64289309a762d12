"""Reading the log: pages of events, an aggregate's history and state, causes and effects."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from millrace.contracts.event import Pattern, _checked_pattern
from millrace.contracts.wire import Fact, Identifier, Message, Name


class CloudEvent(BaseModel):
    """One recorded event in CloudEvents 1.0 structured JSON.

    `type` is `millrace.<event type>.v<n>` for Millrace's own events and `<event type>` for an application's;
    `eventtype` is the routing name that patterns match. `position` is an opaque token; `version` counts within the
    aggregate. `actor` is the person on whose behalf the event came about, where the sender said so.
    """

    model_config = ConfigDict(extra="allow")

    specversion: str = "1.0"
    id: str
    source: str
    type: str
    subject: str
    time: datetime
    datacontenttype: str = "application/json"
    data: dict[str, Any]
    eventtype: str
    tenant: str
    company: str | None = None
    position: str
    version: int
    correlationid: str | None = None
    causationid: str | None = None
    actor: str | None = None
    traceparent: str | None = None


class ReadLog(Message):
    """Query `log.read`: the tenant's events after a position, in order.

    Attributes:
        after: token of the last event seen; `beginning`, or `head` for only what comes next.
        pattern: topic pattern over event types.
        subject: only the events of the aggregate with this id.
        wait: seconds to wait for a first event when there is none.
    """

    after: str = "beginning"
    pattern: Pattern = "#"
    subject: Identifier | None = None
    limit: Annotated[int, Field(ge=1, le=1_000)] = 200
    wait: Annotated[float, Field(ge=0, le=60)] = 0.0

    _pattern = field_validator("pattern")(_checked_pattern)


class LogPage(Fact):
    """Answer to `log.read`.

    Attributes:
        events: none when nothing matched.
        position: token to continue from; it moves on even where nothing matched.
        caught_up: nothing was left to read when the page was made.
    """

    events: tuple[CloudEvent, ...]
    position: str
    caught_up: bool


class GetHistory(Message):
    """Query `log.history`: all events of one aggregate, oldest first."""

    kind: Name
    id: Identifier
    after_version: Annotated[int, Field(ge=0, le=9_007_199_254_740_991)] = 0
    limit: Annotated[int, Field(ge=1, le=1_000)] = 1_000


class GetState(Message):
    """Query `log.state`: an aggregate's state as of a version or a time (ISO 8601), or now."""

    kind: Name
    id: Identifier
    at: str | None = Field(None, max_length=64)


class GetCauses(Message):
    """Query `log.why`: every event that shares the aggregate's correlation, for the tree of causes and effects."""

    id: Identifier


QUERIES: dict[str, type[Message]] = {
    "log.read": ReadLog,
    "log.history": GetHistory,
    "log.state": GetState,
    "log.why": GetCauses,
}
