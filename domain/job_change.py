"""Changing a job that waits: its priority, its time, its queue, its arguments."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, TypedDict

from domain.errors import JobEnded, JobRunning
from domain.job import Job
from domain.job_events import JobEvent


class Changes(TypedDict, total=False):
    """What is to be otherwise; `run_at` None means now."""

    priority: int
    run_at: datetime | None
    queue: str
    queue_priority: int
    data: dict[str, Any]


class Changed(JobEvent):
    """A job that waited has other settings now: all of them are recorded, `changed` names those that differ."""

    TOPIC: ClassVar[str] = "job.changed"
    changed: list[str]
    status: str
    priority: int
    queue_priority: int
    queue: str
    run_at: datetime | None
    data: dict[str, Any]

    def apply(self, job: Job) -> None:
        job.priority, job.queue_priority, job.queue = self.priority, self.queue_priority, self.queue
        job.run_at, job.data, job.changed = self.run_at, self.data, self.changed
        job.status = self.status


def change(job: Job, wanted: Changes, now: datetime) -> None:
    """Gives a waiting job other settings. The same settings change nothing.

    Raises:
        JobRunning: an attempt is running.
        JobEnded: it has completed, failed or been cancelled.
    """
    if job.status == "processing":
        raise JobRunning()
    if job.ended:
        raise JobEnded(job.status)
    before: Changes = {
        "priority": job.priority,
        "run_at": job.run_at,
        "queue": job.queue,
        "queue_priority": job.queue_priority,
        "data": job.data,
    }
    after: Changes = {**before, **wanted}
    due = after["run_at"]
    after["run_at"] = None if due is None or due <= now else due
    changed = sorted(name for name, value in after.items() if value != before.get(name) and name != "queue_priority")
    if changed:
        # A new job that comes after others is delayed until these have ended, which leaves no event of its own.
        waits = after["run_at"] is not None or (bool(job.after) and job.attempt == 0)
        status = "delayed" if waits else "pending"
        job.trigger_event(Changed, timestamp=now, changed=changed, status=status, **after)
