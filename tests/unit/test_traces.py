"""Spans around the ports, without a service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import INVALID_SPAN, StatusCode

from adapters.traced_store import TracedStore
from adapters.traces import MAX_LINKS, links, parent, traceparent_of
from adapters.tracing import TracedPublisher, Tracing
from domain.ports import Append, Appended, EventStore, Metadata, Outcome, Outgoing, PublishFailed
from millrace.contracts.wire import Accepted, Context, Refused, Reply
from millrace.tracing import current_traceparent

CAUSES = [f"00-{number:032x}-{number:016x}-01" for number in range(1, 201)]


class Recording(InMemorySpanExporter):
    """Spans, and the provider that makes them."""

    def __init__(self) -> None:
        super().__init__()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self))
        self.tracer = self.provider.get_tracer("test")

    def only(self) -> ReadableSpan:
        (span,) = self.get_finished_spans()
        return span


class Appends:
    async def append(self, appends: Sequence[Append]) -> list[Outcome]:
        return [Appended(None) for _ in appends]


class Unconfirmed:
    async def publish(self, events: Sequence[Outgoing]) -> None:
        raise PublishFailed("the broker went away")


class Echo:
    """A gateway whose answer is the trace context that it was given."""

    async def execute(self, name: str, body: object, context: Context) -> Reply:
        return Accepted({"traceparent": context.traceparent})

    async def query(
        self, name: str, body: object, context: Context, min_position: str | None = None
    ) -> Accepted | Refused:
        return Accepted({"traceparent": context.traceparent})


@pytest.fixture
def recording() -> Recording:
    return Recording()


def caused_by(traceparent: str | None) -> Append:
    return Append(None, 0, (), Metadata("acme", traceparent=traceparent))


def test_a_page_of_many_traces_links_to_the_first_hundred() -> None:
    found = links([None, *CAUSES, *CAUSES])
    assert [link.context.span_id for link in found] == list(range(1, MAX_LINKS + 1))


@pytest.mark.parametrize("nonsense", ["", "00-0-0-01", f"00-{0:032x}-{1:016x}-01", "žluť"])
def test_what_is_no_trace_context_is_no_link(nonsense: str) -> None:
    assert links([nonsense]) == []


def test_a_trace_context_survives_the_way_through_text(recording: Recording) -> None:
    with recording.tracer.start_as_current_span("caller") as caller:
        text = traceparent_of(caller)
    with recording.tracer.start_as_current_span("callee", context=parent(text)) as callee:
        assert callee.get_span_context().trace_id == caller.get_span_context().trace_id
    assert traceparent_of(INVALID_SPAN) is None


async def test_an_append_outside_of_a_command_continues_the_one_trace_of_its_events(recording: Recording) -> None:
    await TracedStore(cast("EventStore", Appends()), recording.tracer).append([caused_by(CAUSES[4])])
    span = recording.only()
    assert (span.context.trace_id, span.links) == (5, ())


async def test_an_append_for_several_traces_links_to_each(recording: Recording) -> None:
    await TracedStore(cast("EventStore", Appends()), recording.tracer).append(
        [caused_by(cause) for cause in CAUSES[:3]]
    )
    span = recording.only()
    assert span.parent is None
    assert [link.context.trace_id for link in span.links] == [1, 2, 3]


async def test_a_batch_that_was_not_confirmed_is_an_error(recording: Recording) -> None:
    with pytest.raises(PublishFailed):
        await TracedPublisher(Unconfirmed(), recording.tracer).publish([Outgoing("key", "1", "type", b"", CAUSES[0])])
    span = recording.only()
    assert span.status.status_code is StatusCode.ERROR
    assert [link.context.trace_id for link in span.links] == [1]


@pytest.mark.parametrize("name", ["job.claim", "log.read"])
async def test_what_is_held_open_has_no_span(recording: Recording, name: str) -> None:
    gateway = Tracing(recording.provider).gateway(Echo(), frozenset([name]))
    asked = Context("acme", "1", traceparent=CAUSES[0])
    assert await gateway.execute(name, {}, asked) == Accepted({"traceparent": CAUSES[0]})
    assert await gateway.query(name, {}, asked) == Accepted({"traceparent": CAUSES[0]})
    assert recording.get_finished_spans() == ()


async def test_a_query_hands_its_own_span_on(recording: Recording) -> None:
    gateway = Tracing(recording.provider).gateway(Echo(), frozenset(["job.get"]))
    answer = await gateway.query("job.get", {}, Context("acme", "1", traceparent=CAUSES[0]))
    span = recording.only()
    assert (span.name, span.context.trace_id) == ("query job.get", 1)
    assert isinstance(answer, Accepted)
    assert answer.result["traceparent"] == f"00-{1:032x}-{span.context.span_id:016x}-01"


def test_a_client_sends_the_span_that_it_is_called_in(recording: Recording) -> None:
    assert current_traceparent() is None
    with recording.tracer.start_as_current_span("request") as span:
        assert current_traceparent() == traceparent_of(span)
