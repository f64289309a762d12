"""How long jobs waited and ran: a histogram of the newest ones."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate
from typing import Any

from millrace.contracts.wire import Fact

# Upper bounds in seconds; a last bucket takes what is longer.
BOUNDS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 3_600.0)
# The newest events of the log among which starts and ends are looked for.
WINDOW = 5_000
ENDS = ("job.completed", "job.attempt_failed")


class Bucket(Fact):
    """How many took at most `le` seconds, those of the smaller buckets included; null is any time."""

    le: float | None
    count: int


class Durations(Fact):
    """Times in seconds. The quantiles are exact; there is none where nothing was measured."""

    count: int = 0
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    longest: float | None = None
    buckets: tuple[Bucket, ...] = ()


class QueueStats(Fact):
    """One queue: jobs by status, and the age in seconds of the job that has waited longest of those that may run."""

    queue: str
    pending: int = 0
    processing: int = 0
    completed: int = 0
    failed: int = 0
    delayed: int = 0
    cancelled: int = 0
    oldest_waiting: float | None = None


def durations(seconds: Sequence[float]) -> dict[str, Any]:
    """The histogram of these times."""
    if not seconds:
        return Durations().model_dump()
    ordered = sorted(max(0.0, each) for each in seconds)
    counts = [0] * (len(BOUNDS) + 1)
    for each in ordered:
        counts[bisect_left(BOUNDS, each)] += 1

    def quantile(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    buckets = [{"le": le, "count": count} for le, count in zip((*BOUNDS, None), accumulate(counts), strict=True)]
    return {
        "count": len(ordered),
        "p50": quantile(0.5),
        "p95": quantile(0.95),
        "p99": quantile(0.99),
        "longest": ordered[-1],
        "buckets": buckets,
    }


def waited(started: datetime, before: datetime, due: datetime | None) -> float:
    """Seconds from when a job could run until it started.

    Args:
        before: time of the job's event before the start.
        due: the time that this event made it wait for, if any.
    """
    return (started - (before if due is None else max(before, due))).total_seconds()
