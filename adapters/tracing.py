"""OpenTelemetry spans, as decorators around the ports. A service without a provider has none of them in its path."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import assert_never

from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, TracerProvider

from adapters.traced_store import TracedStore
from adapters.traces import links, parent, traceparent_of
from domain.ports import EventPublisher, EventStore, Outgoing, RecordedEvent
from handlers.gateway import Gateway
from millrace.contracts.wire import Accepted, Batch, Context, Refused, Reply
from projections.projection import Connection, Projection

# Held open until there is something to answer: their duration says nothing, and each worker has one at any time.
HELD_OPEN = frozenset({"job.claim", "log.read"})
OUR_FAULT = 500


class Tracing:
    """Puts spans around what the composition root has built.

    `command <name>` or `query <name>` is the span of a request; what it stores carries its trace context. `append` lies
    inside. `relay` and `project <read model>` work on pages of many traces, and link to those.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("millrace")

    def gateway(self, gateway: Gateway, known: frozenset[str]) -> Gateway:
        """Args:
        known: the names that may become span names; others come from outside and are left out.
        """
        return TracedGateway(gateway, self._tracer, known)

    def store(self, store: EventStore) -> EventStore:
        return TracedStore(store, self._tracer)

    def publisher(self, publisher: EventPublisher) -> EventPublisher:
        return TracedPublisher(publisher, self._tracer)

    def projection(self, projection: Projection) -> Projection:
        return TracedProjection(projection, self._tracer)


class TracedGateway:
    """A gateway with a span around each command and query; the next one gets the span's own trace context."""

    def __init__(self, gateway: Gateway, tracer: Tracer, known: frozenset[str]) -> None:
        self._gateway, self._tracer, self._known = gateway, tracer, known

    async def execute(self, name: str, body: object, context: Context) -> Reply:
        if name in HELD_OPEN:
            return await self._gateway.execute(name, body, context)
        with self._span("command", name, context) as span:
            reply = await self._gateway.execute(name, body, _continued(context, span))
            _note(span, reply)
            return reply

    async def query(
        self, name: str, body: object, context: Context, min_position: str | None = None
    ) -> Accepted | Refused:
        if name in HELD_OPEN:
            return await self._gateway.query(name, body, context, min_position)
        with self._span("query", name, context) as span:
            reply = await self._gateway.query(name, body, _continued(context, span), min_position)
            _note(span, reply)
            return reply

    def _span(self, kind: str, name: str, context: Context) -> AbstractContextManager[Span]:
        attributes = {"millrace.tenant": context.tenant, "millrace.message_id": context.message_id}
        if context.correlation_id is not None:
            attributes["millrace.correlation_id"] = context.correlation_id
        return self._tracer.start_as_current_span(
            f"{kind} {name if name in self._known else '(unknown)'}",
            context=parent(context.traceparent),
            kind=SpanKind.SERVER,
            attributes=attributes,
        )


class TracedPublisher:
    """A publisher with a span around each batch."""

    def __init__(self, publisher: EventPublisher, tracer: Tracer) -> None:
        self._publisher, self._tracer = publisher, tracer

    async def publish(self, events: Sequence[Outgoing]) -> None:
        with self._tracer.start_as_current_span(
            "relay",
            kind=SpanKind.PRODUCER,
            attributes={"millrace.events": len(events)},
            links=links(event.traceparent for event in events),
        ):
            await self._publisher.publish(events)


class TracedProjection:
    """A read model with a span around each page that it digests."""

    def __init__(self, projection: Projection, tracer: Tracer) -> None:
        self.name, self.kinds, self.views = projection.name, projection.kinds, projection.views
        self._projection, self._tracer = projection, tracer

    async def create(self, connection: Connection, version: int) -> None:
        await self._projection.create(connection, version)

    async def publish(self, connection: Connection, version: int) -> None:
        await self._projection.publish(connection, version)

    async def drop(self, connection: Connection, version: int) -> None:
        await self._projection.drop(connection, version)

    async def apply(self, connection: Connection, version: int, events: Sequence[RecordedEvent]) -> None:
        with self._tracer.start_as_current_span(
            f"project {self.name}",
            kind=SpanKind.CONSUMER,
            attributes={"millrace.events": len(events), "millrace.position": events[-1].position if events else 0},
            links=links(event.metadata.traceparent for event in events),
        ):
            await self._projection.apply(connection, version, events)

    def forget(self) -> None:
        self._projection.forget()

    def tables(self, version: int) -> Sequence[str]:
        return self._projection.tables(version)


def _continued(context: Context, span: Span) -> Context:
    return context._replace(traceparent=traceparent_of(span) or context.traceparent)


def _note(span: Span, reply: Reply) -> None:
    """What a caller did wrong is an answer like any other; only what the service could not do is an error."""
    match reply:
        case Accepted(position=position):
            if position is not None:
                span.set_attribute("millrace.position", position)
        case Refused(problem):
            span.set_attribute("millrace.problem", problem.code)
            if problem.status >= OUR_FAULT:
                span.set_status(Status(StatusCode.ERROR, problem.code))
        case Batch(items):
            span.set_attribute("millrace.items", len(items))
            span.set_attribute("millrace.refused", sum(isinstance(item, Refused) for item in items))
        case _:
            assert_never(reply)
