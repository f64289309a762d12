"""The details of `job.stats`, in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from millrace.contracts.durations import ENDS, WINDOW, durations, waited
from millrace.testing.claims import Claims
from millrace.testing.job_state import JobState
from millrace.testing.log import MemoryLog, Recorded


def detailed(
    log: MemoryLog, claims: Claims, tenant: str, queue: str | None, jobs: Sequence[JobState]
) -> dict[str, Any]:
    """What `job.stats` adds with `details`, of the jobs of one queue or of all."""
    names = sorted({job.queue for job in jobs}) if queue is None else [queue]
    queues = []
    for name in names:
        own = [job for job in jobs if job.queue == name]
        ages = [age for age in (claims.waiting_time(tenant, job) for job in own) if age is not None]
        counts = Counter(claims.status(tenant, job) for job in own)
        queues.append({"queue": name, **counts, "oldest_waiting": max(ages, default=None)})
    known = {job.id for job in jobs}
    steps = [
        (recorded, before)
        for recorded in log.events[-WINDOW:]
        if recorded.stream.tenant == tenant and (queue is None or recorded.stream.id in known)
        if (before := _before(log, recorded)) is not None
    ]
    return {
        "queues": queues,
        "oldest_waiting": max(
            (each["oldest_waiting"] for each in queues if each["oldest_waiting"] is not None), default=None
        ),
        "wait": durations(
            [
                waited(recorded.at, before.at, getattr(before.fact, "run_at", None))
                for recorded, before in steps
                if recorded.event_type == "job.started"
            ]
        ),
        "run": durations(
            [
                (recorded.at - before.at).total_seconds()
                for recorded, before in steps
                if recorded.event_type in ENDS and before.event_type == "job.started"
            ]
        ),
    }


def _before(log: MemoryLog, recorded: Recorded) -> Recorded | None:
    """The event before it in its stream."""
    return log.streams[recorded.stream][recorded.version - 2] if recorded.version > 1 else None
