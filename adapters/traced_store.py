"""An event store with spans around its appends."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from opentelemetry.trace import SpanKind, Tracer, get_current_span

from adapters.traces import links, parent
from domain.aggregate import Aggregate
from domain.ports import Append, EventStore, Loaded, Outcome, RecordedEvent, StreamName


class TracedStore:
    """Inside a command the span is the command's child; otherwise it continues what the events themselves continue."""

    def __init__(self, store: EventStore, tracer: Tracer) -> None:
        self._store, self._tracer = store, tracer

    async def append(self, appends: Sequence[Append]) -> list[Outcome]:
        context, linked = None, []
        if not get_current_span().get_span_context().is_valid:
            causes = list(dict.fromkeys(item.metadata.traceparent for item in appends))
            context = parent(causes[0]) if len(causes) == 1 else None
            linked = links(causes) if context is None else []
        with self._tracer.start_as_current_span(
            "append",
            context=context,
            kind=SpanKind.CLIENT,
            attributes={
                "millrace.appends": len(appends),
                "millrace.events": sum(len(item.events) for item in appends),
            },
            links=linked,
        ) as span:
            outcomes = await self._store.append(appends)
            span.set_attribute("millrace.outcomes", sorted({type(outcome).__name__ for outcome in outcomes}))
            return outcomes

    async def load(self, streams: Sequence[StreamName]) -> dict[StreamName, Loaded]:
        return await self._store.load(streams)

    async def save_snapshot(self, stream: StreamName, aggregate: Aggregate) -> None:
        await self._store.save_snapshot(stream, aggregate)

    async def history(
        self, stream: StreamName, after_version: int = 0, limit: int = 1_000, until: datetime | None = None
    ) -> list[RecordedEvent]:
        return await self._store.history(stream, after_version, limit, until)

    async def read(self, after: int, limit: int) -> list[RecordedEvent]:
        return await self._store.read(after, limit)

    async def head(self) -> int:
        return await self._store.head()
