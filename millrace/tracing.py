"""OpenTelemetry, where the application uses it: Millrace itself neither needs nor imports it.

An application that traces has imported `opentelemetry.trace` and set a provider before its worker starts. To all others
this costs one look into `sys.modules`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from millrace.job_context import JobContext

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

API = "opentelemetry.trace"


def current_traceparent() -> str | None:
    """The W3C trace context of the span that the calling code runs in; None where it runs in none."""
    # Another thread may be in the middle of importing it, so that the module is there and the function is not.
    current = getattr(sys.modules.get(API), "get_current_span", None)
    return None if current is None else traceparent_of(current())


def traceparent_of(span: Span) -> str | None:
    """The text that names a span; None for one that belongs to no trace."""
    context = span.get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


class JobSpans:
    """Puts a span around each attempt of a job, as a child of the command that enqueued it."""

    def __init__(self, tracer: Tracer) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer, self._propagator = tracer, TraceContextTextMapPropagator()

    @classmethod
    def of_application(cls) -> JobSpans | None:
        """With the provider that the application has set; None where it has not set any."""
        api: Any = sys.modules.get(API)
        if api is None or isinstance(provider := api.get_tracer_provider(), api.ProxyTracerProvider):
            return None
        return cls(provider.get_tracer("millrace"))

    @contextmanager
    def around(self, job: JobContext) -> Iterator[Span]:
        """The span of an attempt; what the handler raises becomes its status."""
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind, Status, StatusCode

        carrier = {"traceparent": job.traceparent} if job.traceparent else {}
        with self._tracer.start_as_current_span(
            f"job {job.name}",
            context=self._propagator.extract(carrier, Context()),
            kind=SpanKind.CONSUMER,
            attributes={
                "millrace.job_id": job.id,
                "millrace.queue": job.queue,
                "millrace.attempt": job.attempt,
                "millrace.correlation_id": job.correlation_id or "",
            },
        ) as span:
            try:
                yield span
            except BaseException as error:
                # OpenTelemetry itself leaves out what is not an `Exception`, and a canceled attempt is one of those.
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise
