"""Which jobs wait for the worker that ran the last job of their key, as in the service's SQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from millrace.testing.job_state import JobState


class Claimant(NamedTuple):
    """A worker that asks for jobs.

    Attributes:
        room: how many jobs it could start.
        at_work: whether a worker of that name is still there.
    """

    worker: str
    room: int
    at_work: Callable[[str], bool]


class _Kept(NamedTuple):
    worker: str
    room: int
    until: datetime


class Affinities:
    """The affinities of one tenant's jobs.

    A job that prefers a worker is left to it from the first claim of another one on, for `affinity` seconds and once
    in an attempt, and only while that worker is there and could run it.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], tuple[str, int]] = {}
        self._running: dict[str, str] = {}
        self._kept: dict[str, _Kept] = {}

    def placed(self, job: JobState) -> None:
        """The job waits anew, or has ended."""
        if job.status != "processing":
            self._running.pop(job.id, None)
            self._kept.pop(job.id, None)

    def started(self, job: JobState, by: Claimant) -> None:
        """Its worker is warm for its key now."""
        # What it had room for before this start, and what it runs already.
        capacity = by.room + self._at_once()[by.worker]
        self._running[job.id] = by.worker
        self._kept.pop(job.id, None)
        if job.affinity is not None and job.key is not None:
            self._last[job.queue, job.key] = by.worker, capacity

    def kept_until(self, job: JobState, by: Claimant, now: datetime) -> datetime | None:
        """Until when the claimant has to leave the job to another worker; None where it may have it."""
        if job.affinity is None or job.key is None:
            return None
        fresh = _Kept(*self._last.get((job.queue, job.key), (by.worker, 0)), now + timedelta(seconds=job.affinity))
        kept = self._kept.get(job.id, fresh)
        if kept.worker == by.worker or kept.until <= now or not by.at_work(kept.worker):
            return None
        aside = sum(1 for name, other in self._kept.items() if other.worker == kept.worker and name != job.id)
        if self._at_once()[kept.worker] + aside >= kept.room:
            return None
        self._kept[job.id] = kept
        return kept.until

    def waits(self, job: JobState, now: datetime) -> bool:
        """Whether somebody has left the job to the worker that it prefers."""
        return job.id in self._kept and self._kept[job.id].until > now

    def _at_once(self) -> Counter[str]:
        return Counter(self._running.values())
