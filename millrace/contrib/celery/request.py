"""`self.request`: what a task knows about the attempt that runs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from millrace.job_context import JobContext

_running: ContextVar[JobContext | None] = ContextVar("millrace_celery_job", default=None)


@dataclass(frozen=True, slots=True)
class Request:
    """The attempt; `called_directly` where the task was called like a function.

    Attributes:
        retries: attempts that were used up before this one.
        root_id: correlation id of what started it all.
        job: the attempt as Millrace has it: `checkpoint`, `heartbeat`, `cancelled`, `log` …
    """

    id: str | None = None
    task: str | None = None
    retries: int = 0
    kwargs: dict[str, Any] = field(default_factory=dict)
    args: tuple[Any, ...] = ()
    delivery_info: dict[str, Any] = field(default_factory=dict)
    root_id: str | None = None
    called_directly: bool = True
    job: JobContext | None = None


def request() -> Request:
    """The request of the running task."""
    job = _running.get()
    if job is None:
        return Request()
    return Request(
        id=job.id,
        task=job.name,
        retries=job.attempts - 1,
        kwargs=job.data,
        delivery_info={"routing_key": job.queue, "priority": job.priority},
        root_id=job.correlation_id,
        called_directly=False,
        job=job,
    )


@contextmanager
def running(job: JobContext) -> Iterator[None]:
    """Within the block the code runs as part of the job."""
    token = _running.set(job)
    try:
        yield
    finally:
        _running.reset(token)
