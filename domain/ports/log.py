"""What is stored and read: streams, events and who caused them."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from domain.aggregate import Event


class StreamName(NamedTuple):
    """Names one aggregate's stream. `text` is an opaque key; the parts are kept in columns and never parsed from it."""

    kind: str
    tenant: str
    id: str

    @property
    def text(self) -> str:
        return f"{self.kind}:{self.tenant}:{self.id}"


class Metadata(NamedTuple):
    """Who caused an event, kept in columns beside it; the domain never sees it."""

    tenant: str
    company: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    actor: str | None = None
    traceparent: str | None = None


class RecordedEvent(NamedTuple):
    """One event as it was stored: the domain event in its envelope.

    Attributes:
        position: place in the one global order; dense.
        version: place in the stream, 1, 2, 3 …
        event_type: routing name that patterns match, such as `job.completed`.
        recorded_at: database time of the append.
    """

    position: int
    stream: StreamName
    version: int
    event_id: str
    event_type: str
    recorded_at: datetime
    metadata: Metadata
    event: Event
