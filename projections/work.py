"""The inline projections `ready` and `waiting`: where an unfinished job stands for the claims."""

from __future__ import annotations

from typing import Literal

from pydantic_core import to_json

from domain.job import KIND, Job
from domain.ports import Metadata, Parents, StreamName, UniqueKey, Work

LEAVES: dict[str | None, tuple[Literal["ready", "waiting", "leases"], ...]] = {
    None: (),
    # Limits, and time that passes, move a job from the one table to the other without an event.
    "pending": ("ready", "waiting"),
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
        return Work(None, leaves, job.queue)
    priority = job.priority + job.queue_priority
    return Work(
        place="ready" if job.run_at is None else "waiting",
        leaves=leaves,
        queue=job.queue,
        rank=float(-priority),
        due_at=job.run_at,
        attempt=job.attempt + 1,
        task=to_json(task_of(job, origin)).decode(),
        origin=origin,
        unique=_taken_key(job, status_before) if job.unique else None,
        parents=_parents(job, origin.tenant) if job.after and status_before is None else None,
        batch=StreamName("batch", origin.tenant, job.batch) if job.batch and status_before is None else None,
        name=job.name,
        key=job.key,
        priority=priority,
        affinity=job.affinity,
    )


def _taken_key(job: Job, status_before: str | None) -> UniqueKey | None:
    """A new job takes its key; a revived one takes it again unless it was to have it until its first start only."""
    assert job.unique is not None
    until = job.unique["until"]
    if status_before is None or (status_before == "failed" and until == "done"):
        return UniqueKey(job.unique["key"], until, job.unique["ttl"])
    return None


def _parents(job: Job, tenant: str) -> Parents:
    streams = tuple(StreamName(KIND, tenant, job_id) for job_id in job.after or ())
    return Parents(streams, job.on_parent_failure or "cancel")


def changed_work_of(job: Job, status_before: str | None, origin: Metadata) -> Work:
    """The row of a job that was changed while it waited; one that only got other arguments keeps its place."""
    work = work_of(job, status_before, origin)
    return work._replace(place="same", leaves=()) if job.changed == ["data"] else work


def task_of(job: Job, origin: Metadata) -> dict[str, object]:
    """What a worker is told about the job, and what the claim needs to record its start."""
    waited_for = {"after": job.after} if job.after else {}
    return waited_for | {
        "name": job.name,
        "data": job.data,
        "queue": job.queue,
        "priority": job.priority,
        "attempts": job.attempts + 1,
        "max_attempts": job.max_attempts,
        "timeout": job.timeout,
        "created_at": job.created_on,
        **({} if job.key is None else {"key": job.key}),
        **({} if job.checkpoint is None else {"checkpoint": job.checkpoint}),
        "company": origin.company,
        "correlation_id": origin.correlation_id,
        "traceparent": origin.traceparent,
    }
