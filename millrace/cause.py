"""What the running code was caused by, so that whatever it sends is linked to it."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cause:
    """The job or event that a handler is working on.

    Attributes:
        correlation_id: of the outside request that started it all.
        causation_id: the job's or the event's id.
        traceparent: W3C trace context.
        tenant: whose job or event it is, where the worker serves several.
    """

    correlation_id: str | None
    causation_id: str
    traceparent: str | None = None
    tenant: str | None = None


CAUSE: ContextVar[Cause | None] = ContextVar("millrace_cause", default=None)
