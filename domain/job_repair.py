"""Mending a job that is among the dead letters: other data, and taking back what was done last."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Literal

from domain.errors import NotDeadLettered, NothingToUndo
from domain.job import Job
from domain.job_events import DeadLettered, JobEvent


class Edited(JobEvent):
    """A dead-lettered job got other data. `patch` is the change as it was asked for (RFC 6902), `data` what it came to,
    so that a replay needs no rules of patching."""

    TOPIC: ClassVar[str] = "job.edited"
    patch: list[dict[str, Any]]
    data: dict[str, Any]
    reason: str | None

    def apply(self, job: Job) -> None:
        job.before_edits = [*job.before_edits, job.data]
        job.data = self.data


class EditUndone(JobEvent):
    """The job has the data again that it had before its last edit."""

    TOPIC: ClassVar[str] = "job.edit_undone"
    data: dict[str, Any]
    reason: str | None

    def apply(self, job: Job) -> None:
        job.before_edits = job.before_edits[:-1]
        job.data = self.data


class RetryUndone(JobEvent):
    """The job stands among the dead letters again as if it had not been retried; it has just joined them."""

    TOPIC: ClassVar[str] = "job.retry_undone"
    max_attempts: int
    failed_at: datetime
    reason: str | None

    def apply(self, job: Job) -> None:
        job.status, job.dead_lettered, job.ended_at = "failed", True, self.failed_at
        job.max_attempts, job.run_at, job.died_at = self.max_attempts, None, None


def edit(job: Job, patch: list[dict[str, Any]], data: dict[str, Any], reason: str | None, now: datetime) -> None:
    """Gives a dead-lettered job other data, which its next attempt gets. Data as it was changes nothing.

    Args:
        patch: the change as it was asked for.
        data: what it comes to.

    Raises:
        NotDeadLettered: it is not there.
    """
    if not job.dead_lettered or job.removed:
        raise NotDeadLettered("removed" if job.removed else job.status)
    if data != job.data:
        job.trigger_event(Edited, timestamp=now, patch=patch, data=data, reason=reason)


def undo(job: Job, reason: str | None, now: datetime) -> Literal["retry", "edit"]:
    """Takes back the newest retry or edit: a retried job that has not started joins the dead letters again, a
    dead-lettered one gets the data back from before its last edit.

    Raises:
        NothingToUndo: there is no such edit, or the retried job has started.
    """
    waiting = job.status in ("pending", "delayed")
    died_at = job.died_at
    if waiting and died_at is not None and job.attempt == job.died_in:
        # It joins them like any other, for whoever follows the ends of jobs; then it stands there as it did before.
        job.trigger_event(DeadLettered, timestamp=now, attempt=job.attempt, reason="its retry was undone")
        job.trigger_event(RetryUndone, timestamp=now, max_attempts=job.died_with, failed_at=died_at, reason=reason)
        return "retry"
    if job.dead_lettered and not job.removed and job.before_edits:
        job.trigger_event(EditUndone, timestamp=now, data=job.before_edits[-1], reason=reason)
        return "edit"
    raise NothingToUndo("removed" if job.removed else job.status)
