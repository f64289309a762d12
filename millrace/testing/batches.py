"""Batches in memory: whether they take a job, how far they have got, and what follows in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

from millrace.contracts import batch as contract
from millrace.contracts import job as job_contract
from millrace.contracts.wire import Context, Fact, derived_id
from millrace.testing import job_decisions
from millrace.testing.clock import VirtualClock
from millrace.testing.job_state import JobState
from millrace.testing.log import MemoryLog, Origin, Stream
from millrace.testing.refusals import Refusal
from millrace.testing.states import BatchState, State

KIND = "batch"


class Batches:
    """Follows the jobs of batches.

    Args:
        recorded: told of an aggregate whose events were recorded here.
    """

    def __init__(self, log: MemoryLog, clock: VirtualClock, recorded: Callable[[Stream, State], None]) -> None:
        self._log, self._clock, self._recorded = log, clock, recorded

    def check(self, tenant: str, batch_id: str) -> None:
        """Raises:
        Refusal: the batch does not exist, or takes no more jobs.
        """
        batch = self._log.states.get(Stream(KIND, tenant, batch_id))
        if not isinstance(batch, BatchState):
            raise Refusal("unknown-batch", f"there is no batch {batch_id!r}; create it before its jobs")
        if batch.is_sealed:
            detail = f"batch {batch_id} is sealed; enqueue the job without it, or into a new one"
            raise Refusal("batch-sealed", detail)

    def follow(self, stream: Stream, batch: BatchState) -> None:
        """The batch or one of its jobs has changed: cancels what is unwanted, and says when it is done."""
        jobs = self._jobs(stream)
        if batch.is_cancelled:
            for member in [job for job in jobs if not job.ended]:
                own = Stream("job", stream.tenant, member.id)
                reason = f"its batch {stream.id} was cancelled"
                self._append(own, [job_contract.JobCancelled(reason=reason)], stream.id, self._first(own))
        counts = Counter(job.status for job in jobs)
        if not batch.is_sealed or any(not job.ended for job in jobs):
            return
        total, done = len(jobs), counts["completed"]
        told = {"total": total, "completed": done, "failed": counts["failed"], "cancelled": counts["cancelled"]}
        if not batch.is_complete:
            self._append(stream, [contract.BatchCompleted(**told)], stream.id, self._first(stream))
            self._call(stream, batch, batch.on_complete, "on_complete", told)
        if done == total and not batch.is_cancelled and not batch.is_success:
            self._append(stream, [contract.BatchSucceeded(total=total)], stream.id, self._first(stream))
            self._call(stream, batch, batch.on_success, "on_success", told)

    def of(self, stream: Stream, job: JobState) -> tuple[Stream, BatchState] | None:
        """The batch that a job belongs to."""
        owner = Stream(KIND, stream.tenant, job.batch or "")
        batch = self._log.states.get(owner)
        return (owner, batch) if isinstance(batch, BatchState) else None

    def view(self, stream: Stream, batch: BatchState) -> dict[str, Any]:
        """The batch as it is read."""
        jobs = self._jobs(stream)
        counts = Counter(job.status if job.ended else "open" for job in jobs)
        names = ("open", "completed", "failed", "cancelled")
        return {
            "id": stream.id,
            "name": batch.name,
            "total": len(jobs),
            **{name: counts[name] for name in names},
            "progress": (len(jobs) - counts["open"]) / len(jobs) if jobs else 0.0,
            "is_sealed": batch.is_sealed,
            "is_cancelled": batch.is_cancelled,
            "is_complete": batch.is_complete,
            "is_success": batch.is_success,
            "created_at": batch.created_at,
        }

    def _jobs(self, stream: Stream) -> list[JobState]:
        return [
            job
            for key, job in list(self._log.states.items())
            if isinstance(job, JobState) and key.tenant == stream.tenant and job.batch == stream.id
        ]

    def _call(
        self, stream: Stream, batch: BatchState, wish: dict[str, Any] | None, which: str, told: dict[str, int]
    ) -> None:
        if wish is None:
            return
        text = f"{KIND}:{stream.tenant}:{stream.id}/{which}"
        own = Stream("job", stream.tenant, derived_id(stream.tenant, text, "millrace"))
        data = {**wish["data"], "batch": {"id": stream.id, "name": batch.name, **told}}
        command = job_contract.Enqueue.model_validate({**wish, "data": data})
        self._append(own, job_decisions.enqueue(command, self._clock.now()), stream.id, self._first(stream))

    def _append(self, stream: Stream, facts: list[Fact], cause: str, first: Origin) -> None:
        origin = Origin.of(Context(stream.tenant, cause), first)
        self._recorded(stream, self._log.append(stream, facts, origin, self._clock.now()))

    def _first(self, stream: Stream) -> Origin:
        return self._log.streams[stream][0].origin


def create(batch: BatchState | None, command: contract.CreateBatch, now: datetime) -> list[Fact]:
    if batch is not None:
        return []
    wishes = command.model_dump(include={"on_complete", "on_success"})
    return [contract.BatchCreated(name=command.name, **wishes)]


def seal(batch: BatchState, command: contract.SealBatch, now: datetime) -> list[Fact]:
    return [] if batch.is_sealed else [contract.BatchSealed()]


def cancel(batch: BatchState, command: contract.CancelBatch, now: datetime) -> list[Fact]:
    if batch.is_cancelled:
        return []
    if batch.is_complete:
        raise Refusal("refused", "all jobs of the batch have ended")
    return [contract.BatchCancelled(reason=command.reason)]
