"""W3C trace contexts as text, the way they travel in headers and are stored with events."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

MAX_LINKS = 100
_W3C = TraceContextTextMapPropagator()


def parent(traceparent: str | None) -> Context:
    """The context whose spans are children of the one that `traceparent` names; an empty one for None or nonsense."""
    return _W3C.extract({"traceparent": traceparent} if traceparent else {}, Context())


def links(traceparents: Iterable[str | None]) -> list[Link]:
    """Links to the spans that the texts name: each once, the first hundred."""
    distinct = dict.fromkeys(text for text in traceparents if text)
    contexts = (get_current_span(parent(text)).get_span_context() for text in islice(distinct, MAX_LINKS))
    return [Link(context) for context in contexts if context.is_valid]


def traceparent_of(span: Span) -> str | None:
    """The text that names a span; None for one that belongs to no trace."""
    context = span.get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
