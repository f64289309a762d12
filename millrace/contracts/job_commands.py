"""What is done about one job that exists: cancel, change, retry, remove."""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from millrace.contracts.job_fields import Priority, Seconds, Time
from millrace.contracts.wire import Identifier, Message, Name, Text


class Cancel(Message):
    """`job.cancel`: ends a waiting, delayed or running job. A running attempt is told at its next renewal."""

    job_id: Identifier
    reason: Text | None = None


class JobChange(Message):
    """What is to be otherwise with a waiting job.

    A job that only gets other `data` keeps its place; with another priority, time or queue it is placed anew, behind
    those of the same rank.

    Attributes:
        priority: -100 to 100, higher first.
        delay: seconds from now before the job may run, 0 for at once; excludes `run_at`.
        run_at: when the job may run; excludes `delay`.
        queue: where it waits from now on.
        data: all arguments for the handler.
    """

    priority: Priority | None = None
    delay: Seconds | None = None
    run_at: Time | None = None
    queue: Name | None = None
    data: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _something_to_change(self) -> JobChange:
        if self.delay is not None and self.run_at is not None:
            raise ValueError("give either `delay` or `run_at`, not both")
        if all(value is None for value in (self.priority, self.delay, self.run_at, self.queue, self.data)):
            raise ValueError("give at least one of `priority`, `delay`, `run_at`, `queue` and `data`")
        return self


class Change(JobChange):
    """`job.change`: gives a waiting job other settings; a running or ended one is refused."""

    job_id: Identifier


class RetryDead(Message):
    """`job.retry`: takes a dead-lettered job out of the dead letters and gives it `max_attempts` more attempts."""

    job_id: Identifier
    reason: Text | None = None


class Remove(Message):
    """`job.remove`: takes a waiting or finished job out of the read models. A running one is refused."""

    job_id: Identifier
    reason: Text | None = None
