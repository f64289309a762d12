"""Where spans go: what OpenTelemetry's standard variables (OTEL_*) say."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import suppress
from importlib.metadata import entry_points

import structlog
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from infra.version import VERSION

EXPORTERS = "opentelemetry_traces_exporter"
OTLP_PACKAGES = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
log = structlog.get_logger("service")


def tracer_provider() -> TracerProvider | None:
    """A provider that exports as the environment says; None where it names no destination, or none that is installed.

    `OTEL_TRACES_EXPORTER` names exporters (`otlp`, `console`, those of other packages); `OTEL_EXPORTER_OTLP_ENDPOINT`
    alone means `otlp`. Samplers, batches and the resource have their standard variables too. Unlike elsewhere, nothing
    is sent to localhost unless that is asked for.
    """
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    exporters = [found for name in _wanted() if (found := _exporter(name)) is not None]
    if not exporters:
        return None
    named = OTELResourceDetector().detect().attributes
    resource = Resource.create({SERVICE_NAME: "millrace", SERVICE_VERSION: VERSION, **named})
    # Not at the interpreter's exit, which a collector that is away would hold up: `shut_down` is called.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    for exporter in exporters:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


async def shut_down(provider: TracerProvider, seconds: float) -> None:
    """Sends what is left; gives up after `seconds`."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def work() -> None:
        provider.shutdown()
        with suppress(RuntimeError):  # the loop has ended before
            loop.call_soon_threadsafe(done.set)

    # A thread that keeps neither the loop nor the process from ending.
    threading.Thread(target=work, name="tracing-shutdown", daemon=True).start()
    with suppress(TimeoutError):
        await asyncio.wait_for(done.wait(), seconds)


def _wanted() -> list[str]:
    variables = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    implied = "otlp" if any(os.environ.get(name) for name in variables) else ""
    names = [name.strip() for name in (os.environ.get("OTEL_TRACES_EXPORTER") or implied).split(",")]
    return [name for name in names if name not in ("", "none")]


def _exporter(name: str) -> SpanExporter | None:
    entry_point = name
    if name == "otlp":
        variables = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
        protocol = next((value for variable in variables if (value := os.environ.get(variable))), "http/protobuf")
        entry_point = OTLP_PACKAGES.get(protocol, protocol)
    for found in entry_points(group=EXPORTERS, name=entry_point):
        exporter: SpanExporter = found.load()()
        return exporter
    log.warning(
        f"spans are not exported: no exporter {entry_point!r} is installed; for OTLP over HTTP, "
        "pip install 'millrace-server[otel]'",
        action="exporter_missing",
        exporter=entry_point,
    )
    return None
