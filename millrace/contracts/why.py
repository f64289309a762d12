"""Why a job has not started: one reason, as a code and in words, from where the job stands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from millrace.contracts.wire import Fact, Identifier, Message

# What a waiting job's row can say besides a time, in words; a newer reason is shown as it is.
WORDS = {
    "paused": "its queue is paused",
    "capped": "as many jobs as its queue allows are running",
    "rate_limited": "its queue has started as many jobs as its rate allows",
    "dependent": "it waits for other jobs",
    "circuit_open": "too many attempts of jobs of its name have failed; see its circuit breaker",
    "affinity": "it waits for the worker that ran the last job of its key, and after that time for nobody",
}
MOST_COUNTED = 10_000


class WhyWaiting(Message):
    """Query `job.why`: the one reason for which a job has not started, or what became of it."""

    job_id: Identifier


class Why(Fact):
    """Answer to `job.why`.

    Attributes:
        code: `no-worker`, `no-worker-for-queue`, `jobs-ahead`, `next`, `delayed`, `retry`, the reason of a job that
            waits for something else (`paused`, `capped`, `rate-limited`, `dependent`,
            `circuit-open`, `affinity`), `running`, or how the job ended:
            `completed`, `dead-lettered`, `failed`, `cancelled`.
        reason: the same in words.
        details: the figures in it by name.
    """

    job_id: str
    code: str
    reason: str
    details: dict[str, Any]


class Ready(NamedTuple):
    """A job that may run now.

    Attributes:
        ahead: jobs of its queue that are granted before it, at most `MOST_COUNTED`; `higher` of them by priority.
        workers: workers seen lately; `looking` of them look into its queue.
    """

    queue: str
    ahead: int
    higher: int
    workers: int
    looking: int


class Waiting(NamedTuple):
    """A job that may not run yet, until `due_at` where a time is what it waits for.

    Attributes:
        parents: the jobs that have to end first.
    """

    reason: str
    due_at: datetime | None
    parents: Sequence[str] = ()


class Running(NamedTuple):
    """A job with a valid attempt."""

    attempt: int
    worker: str
    lease_until: datetime | None


Standing = Ready | Waiting | Running


def why(job: dict[str, Any], standing: Standing | None) -> Why:
    """The one reason.

    Args:
        job: as `job.get` shows it.
        standing: None for a job that has ended.
    """
    code, reason, details = _told(job, standing)
    return Why(job_id=job["id"], code=code, reason=reason, details=details)


def _told(job: dict[str, Any], standing: Standing | None) -> tuple[str, str, dict[str, Any]]:
    match standing:
        case None:
            return _ended(job)
        case Running(attempt, worker, lease_until):
            reason = f"it has started: attempt {job['attempts']} of {job['max_attempts']} runs on {worker}"
            return "running", reason, {"attempt": attempt, "worker": worker, "lease_until": lease_until}
        case Waiting("delayed", due_at) if job["attempts"] and due_at is not None:
            reason = f"attempt {job['attempts'] + 1} of {job['max_attempts']} is due at {due_at.isoformat()}"
            last = f", after {job['error']}" if job["error"] else ""
            return "retry", reason + last, {"due_at": due_at, "attempts": job["attempts"], "error": job["error"]}
        case Waiting("delayed", due_at) if due_at is not None:
            return "delayed", f"it is due at {due_at.isoformat()}", {"due_at": due_at}
        case Waiting("dependent", _, parents) if parents:
            named = ", ".join(parents[:5]) + (" …" if len(parents) > 5 else "")
            return "dependent", f"it waits for {len(parents)} other job(s): {named}", {"parents": list(parents)}
        case Waiting(why_not, due_at):
            return why_not.replace("_", "-"), WORDS.get(why_not, f"it waits: {why_not}"), {"due_at": due_at}
        case Ready():
            return _runnable(standing)


def _runnable(ready: Ready) -> tuple[str, str, dict[str, Any]]:
    details: dict[str, Any] = ready._asdict()
    if not ready.workers:
        return "no-worker", "it may run now, but no worker is connected", details
    if not ready.looking:
        reason = f"it may run now, but none of the {ready.workers} workers looks into queue {ready.queue!r}"
        return "no-worker-for-queue", reason, details
    if ready.ahead:
        many = f"{ready.ahead} or more" if ready.ahead >= MOST_COUNTED else str(ready.ahead)
        reason = f"{many} jobs of queue {ready.queue!r} come first, {ready.higher} of them by priority"
        return "jobs-ahead", reason, details
    return "next", f"it is the next of queue {ready.queue!r}, as soon as one of its workers has room", details


def _ended(job: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    status, error = str(job["status"]), job["error"]
    if job["dead_lettered"]:
        reason = f"it is among the dead letters after {job['attempts']} of {job['max_attempts']} attempts: {error}"
        return "dead-lettered", reason, {"failed_at": job["failed_at"], "error": error}
    if status == "completed":
        return "completed", "it has completed", {"completed_at": job["completed_at"]}
    return status, f"it is {status}", {}


QUERIES: dict[str, type[Message]] = {"job.why": WhyWaiting}
