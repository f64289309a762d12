"""The inline projections `ready` and `waiting`: where an unfinished job stands for the claims."""

from __future__ import annotations

from typing import Literal

from pydantic_core import to_json

from domain.job import Job
from domain.ports import Metadata, Work

LEAVES: dict[str | None, tuple[Literal["ready", "waiting", "leases"], ...]] = {
    None: (),
    "pending": ("ready",),
    # A job that is due has been moved from the one table to the other without an event.
    "delayed": ("waiting", "ready"),
    "processing": ("leases",),
}


def work_of(job: Job, status_before: str | None, origin: Metadata) -> Work:
    """The row that the job's state calls for, given the status that it had before its newest events."""
    if job.status == status_before == "processing":
        # No row changes; the text only tells how much memory the job takes.
        return Work(None, task=to_json(job.checkpoint).decode())
    leaves = LEAVES.get(status_before, ())
    if job.status not in ("pending", "delayed"):
        return Work(None, leaves)
    return Work(
        place="ready" if job.status == "pending" else "waiting",
        leaves=leaves,
        queue=job.queue,
        rank=float(-job.priority - job.queue_priority),
        due_at=job.run_at,
        attempt=job.attempt + 1,
        task=to_json(task_of(job, origin)).decode(),
        origin=origin,
    )


def task_of(job: Job, origin: Metadata) -> dict[str, object]:
    """What a worker is told about the job, and what the claim needs to record its start."""
    return {
        "name": job.name,
        "data": job.data,
        "queue": job.queue,
        "priority": job.priority,
        "attempts": job.attempts + 1,
        "max_attempts": job.max_attempts,
        "timeout": job.timeout,
        "created_at": job.created_on,
        **({} if job.checkpoint is None else {"checkpoint": job.checkpoint}),
        "company": origin.company,
        "correlation_id": origin.correlation_id,
        "traceparent": origin.traceparent,
    }
