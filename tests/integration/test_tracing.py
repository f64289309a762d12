"""One enqueued job is one trace: command, append, relay, read model and worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial

import aio_pika
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from pydantic_core import from_json

from adapters.amqp.topology import EVENTS
from adapters.tracing import Tracing
from millrace import Millrace, Worker
from millrace.ids import uuid7
from tests.support.running import Running, running, until

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.fixture(scope="module")
def provider() -> Iterator[TracerProvider]:
    """The application's provider. A process can set one only once."""
    provider = TracerProvider(shutdown_on_exit=False)
    trace.set_tracer_provider(provider)
    yield provider
    provider.shutdown()


@pytest.fixture
def spans(provider: TracerProvider) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield exporter
    exporter.shutdown()


@pytest.fixture
async def service(provider: TracerProvider, fresh_database_url: str, rabbitmq_url: str) -> AsyncIterator[Running]:
    async with running(fresh_database_url, rabbitmq_url, tracing=Tracing(provider)) as service:
        yield service


@asynccontextmanager
async def working(app: Millrace) -> AsyncIterator[None]:
    worker = Worker(app)
    task = asyncio.create_task(worker.run(signals=False))
    await worker.started.wait()
    try:
        yield
    finally:
        worker.stop()
        await task


def named(spans: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name == name]


def trace_of(span: ReadableSpan) -> str:
    return f"{span.context.trace_id:032x}"


def traceparent_of(span: ReadableSpan) -> str:
    return f"00-{trace_of(span)}-{span.context.span_id:016x}-01"


def linked(span: ReadableSpan, to: ReadableSpan) -> bool:
    return any(link.context.span_id == to.context.span_id for link in span.links)


async def test_a_job_is_one_trace_from_the_request_to_its_handler(
    service: Running, spans: InMemorySpanExporter, rabbitmq_url: str
) -> None:
    tenant = f"t-{uuid7()}"
    async with (
        await aio_pika.connect_robust(rabbitmq_url) as connection,
        service.client(tenant) as http,
        Millrace(service.url, tenant=tenant) as app,
    ):
        received = await _listening(connection, f"{tenant}.job.enqueued")
        inner: list[str | None] = []

        @app.job
        async def outer() -> None:
            await app.jobs.enqueue("inner", {})

        @app.job(name="inner")
        def inside() -> None:
            context = trace.get_current_span().get_span_context()
            inner.append(f"{context.trace_id:032x}")

        answer = await http.post("/api/commands/job.enqueue", json={"name": "outer"}, headers={"traceparent": CALLER})
        job_id = answer.json()["result"]["job_id"]
        async with working(app):
            await app.jobs.result(job_id, timeout=20)
            await until(lambda: bool(named(spans, "job inner")))
        (message, _) = [await asyncio.wait_for(received.get(), 20) for _ in range(2)]
        history = (await http.get(f"/api/job/{job_id}/history")).json()
        command = named(spans, "command job.enqueue")[0]
        for follower in ("relay", "project jobs"):
            await until(partial(_follows, spans, follower, command))

    assert command.kind is SpanKind.SERVER
    assert command.parent is not None
    assert (trace_of(command), f"{command.parent.span_id:016x}") == (TRACE, "00f067aa0ba902b7")
    assert command.attributes is not None
    assert command.attributes["millrace.tenant"] == tenant

    (append,) = [span for span in named(spans, "append") if span.parent == command.context]
    assert append.attributes is not None
    assert (append.attributes["millrace.appends"], append.attributes["millrace.events"]) == (1, 1)
    assert append.attributes["millrace.outcomes"] == ("Appended",)

    (outer_span,) = named(spans, "job outer")
    assert outer_span.kind is SpanKind.CONSUMER
    assert outer_span.parent is not None
    assert outer_span.parent.span_id == command.context.span_id
    second = next(span for span in named(spans, "command job.enqueue") if span is not command)
    assert second.parent is not None
    assert second.parent.span_id == outer_span.context.span_id
    assert inner == [TRACE]
    assert {trace_of(span) for span in named(spans, "job inner")} == {TRACE}

    stored = {event["traceparent"] for event in history}
    assert stored == {traceparent_of(command)}
    assert from_json(message)["traceparent"] == traceparent_of(command)


async def test_a_failing_handler_and_a_refusal_show_in_their_spans(
    service: Running, spans: InMemorySpanExporter
) -> None:
    tenant = f"t-{uuid7()}"
    async with service.client(tenant) as http, Millrace(service.url, tenant=tenant) as app:

        @app.job(max_attempts=1)
        async def fail() -> None:
            raise ValueError("no such file")

        job = await fail.enqueue()
        async with working(app):
            await until(lambda: bool(named(spans, "job fail")))
        await http.post("/api/commands/job.cancel", json={"job_id": "nowhere"})
        await http.post("/api/commands/nonsense", json={})
    (failed,) = named(spans, "job fail")
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.attributes is not None
    assert failed.attributes["millrace.job_id"] == job.id
    (canceled,) = named(spans, "command job.cancel")
    assert canceled.attributes is not None
    assert canceled.attributes["millrace.problem"] == "not-found"
    assert canceled.status.status_code is StatusCode.UNSET
    assert len(named(spans, "command (unknown)")) == 1


async def test_a_batch_is_one_span_and_a_page_links_to_each_trace_once(
    service: Running, spans: InMemorySpanExporter
) -> None:
    tenant = f"t-{uuid7()}"
    async with service.client(tenant) as http:
        await http.post("/api/commands/job.enqueue", json=[{"name": "many"} for _ in range(150)])
        (command,) = named(spans, "command job.enqueue")
        await until(partial(_follows, spans, "project jobs", command))
    assert command.attributes is not None
    assert (command.attributes["millrace.items"], command.attributes["millrace.refused"]) == (150, 0)
    page = next(span for span in named(spans, "project jobs") if linked(span, command))
    assert len(page.links) == 1


def _follows(spans: InMemorySpanExporter, name: str, command: ReadableSpan) -> bool:
    return any(linked(span, command) for span in named(spans, name))


async def _listening(connection: aio_pika.abc.AbstractConnection, key: str) -> asyncio.Queue[bytes]:
    """The bodies of the events that are relayed under a routing key from now on."""
    channel = await connection.channel()
    queue = await channel.declare_queue(exclusive=True)
    await queue.bind(await channel.get_exchange(EVENTS), key)
    received: asyncio.Queue[bytes] = asyncio.Queue()

    async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        received.put_nowait(message.body)

    await queue.consume(take, no_ack=True)
    return received
