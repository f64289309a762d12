"""What follows from a command to a job: the events, or a refusal. The rules of the service, without its store."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

from millrace.contracts import job as contract
from millrace.contracts.job_result import STORED
from millrace.contracts.wire import Fact
from millrace.testing.job_state import JobState
from millrace.testing.refusals import Refusal

# What the service adds where its configuration does not say otherwise.
QUEUE_PRIORITIES = {"high_priority": 10, "low_priority": -10}


def enqueue(command: contract.Enqueue, now: datetime) -> list[Fact]:
    run_at = command.run_at if command.delay is None else now + timedelta(seconds=command.delay)
    due = None if run_at is None or run_at <= now else run_at
    own = {"run_at", "unique", "after", "on_parent_failure", "batch"}
    settings = command.model_dump(include=set(contract.JobEnqueued.model_fields) - own)
    return [
        contract.JobEnqueued(
            **settings,
            run_at=due,
            queue_priority=QUEUE_PRIORITIES.get(command.queue, 0),
            unique=None if command.unique is None else command.unique.kept(command.name, command.data),
            after=list(command.after) or None,
            on_parent_failure=command.on_parent_failure if command.after else None,
            batch=command.batch,
        )
    ]


def checkpoint(job: JobState, command: contract.Checkpoint, now: datetime) -> list[Fact]:
    _guard_attempt(job, command.attempt)
    if command.number and command.number <= job.checkpoint_number:
        return []
    return [contract.JobCheckpointed(attempt=command.attempt, state=command.state, number=command.number)]


def report(job: JobState, command: contract.Report, now: datetime) -> list[Fact]:
    attempt = command.attempt
    if command.outcome == "completed" and job.status == "completed" and attempt == job.attempt:
        return []
    _guard_attempt(job, attempt)
    saved: list[Fact] = []
    if "checkpoint" in command.model_fields_set:
        saved.append(contract.JobCheckpointed(attempt=attempt, state=command.checkpoint))
    return [*saved, *_outcome(job, command, now)]


def _guard_attempt(job: JobState, attempt: int) -> None:
    if job.status != "processing" or attempt != job.attempt:
        newer = f" in attempt {job.attempt}" if job.attempt != attempt else ""
        raise Refusal("stale-attempt", f"attempt {attempt} is not valid any more: the job is {job.status}{newer}")


def _outcome(job: JobState, command: contract.Report, now: datetime) -> list[Fact]:
    attempt = command.attempt
    match command.outcome:
        case "completed":
            stored = command.stored
            result = command.result if stored is None else {STORED: stored.model_dump(mode="json")}
            return [contract.JobCompleted(attempt=attempt, result=result)]
        case "failed":
            failed = contract.JobAttemptFailed(
                attempt=attempt, error=command.error or contract.ErrorDetail.model_validate({})
            )
            return [failed, _after_failure(job, command, now)]
        case "returned":
            reason = command.reason or "handed back by its worker"
            returned: list[Fact] = [contract.JobAttemptReturned(attempt=attempt, reason=reason)]
            if command.delay:
                run_at = now + timedelta(seconds=command.delay)
                returned.append(contract.JobRetryScheduled(attempt=attempt, run_at=run_at))
            return returned


def change(job: JobState, command: contract.Change, now: datetime) -> list[Fact]:
    if job.status == "processing":
        raise Refusal("refused", "the job is running; cancel it first")
    if job.status in ("completed", "failed", "cancelled"):
        raise Refusal("refused", f"the job has already ended: it is {job.status}")
    run_at = command.run_at if command.run_at is not None else job.run_at
    if command.delay is not None:
        run_at = now + timedelta(seconds=command.delay)
    queue = command.queue if command.queue is not None else job.queue
    priority = QUEUE_PRIORITIES.get(queue, 0) if command.queue is not None else job.queue_priority
    before = {"priority": job.priority, "run_at": job.run_at, "queue": job.queue, "data": job.data}
    after = {
        "priority": job.priority if command.priority is None else command.priority,
        "run_at": None if run_at is None or run_at <= now else run_at,
        "queue": queue,
        "data": job.data if command.data is None else command.data,
    }
    changed = tuple(sorted(name for name, value in after.items() if value != before[name]))
    waits = after["run_at"] is not None or (bool(job.after) and job.attempt == 0)
    status = "delayed" if waits else "pending"
    fact = {"changed": changed, "status": status, "queue_priority": priority, **after}
    return [contract.JobChanged.model_validate(fact)] if changed else []


def cancel(job: JobState, command: contract.Cancel, now: datetime) -> list[Fact]:
    if job.status == "cancelled":
        return []
    if job.status in ("completed", "failed"):
        raise Refusal("refused", f"the job has already ended: it is {job.status}")
    return [contract.JobCancelled(reason=command.reason)]


def revive(job: JobState, command: contract.RetryDead, now: datetime) -> list[Fact]:
    if not job.dead_lettered or job.removed:
        raise Refusal("refused", f"the job is not among the dead letters: it is {job.status}")
    return [contract.JobRevived(max_attempts=job.attempts + job.granted_attempts, reason=command.reason)]


def remove(job: JobState, command: contract.Remove, now: datetime) -> list[Fact]:
    if job.removed:
        return []
    if job.status == "processing":
        raise Refusal("refused", "the job is running; cancel it first")
    cancelled = [contract.JobCancelled(reason=command.reason or "removed")] if job.waits else []
    return [*cancelled, contract.JobRemoved(reason=command.reason)]


def _after_failure(job: JobState, command: contract.Report, now: datetime) -> Fact:
    reason: str | None = None
    if not command.retryable:
        reason = "the error is not retryable"
    elif job.attempts >= job.max_attempts:
        reason = f"all {job.max_attempts} attempts failed" if job.max_attempts > 1 else "its one attempt failed"
    elif job.retry["kind"] == "none":
        reason = "its policy is not to retry"
    if reason is not None:
        return contract.JobDeadLettered(attempt=job.attempt, reason=reason)
    policy = retry_delay(job.retry, job.attempts, job.id)
    wait = policy if command.retry_after is None else command.retry_after
    return contract.JobRetryScheduled(attempt=job.attempt, run_at=now + timedelta(seconds=wait))


def retry_delay(policy: dict[str, Any], failures: int, seed: str) -> float:
    """Seconds to wait after the `failures`-th failure; the jitter is the same each time for the same job."""
    delay: float = policy["delay"]
    if policy["kind"] == "exponential":
        delay *= policy["factor"] ** min(failures - 1, 64)
    delay = min(delay, policy["max_delay"])
    draw = int.from_bytes(hashlib.sha256(f"{seed}/{failures}".encode()).digest()[:8], "big") / 2**64
    return float(delay * (1 - policy["jitter"] * draw))
