"""Caps and rates of queues, names and keys in memory."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from millrace.contracts.queue import Limit
from millrace.testing.job_state import JobState
from millrace.testing.queue_state import QueueState

Slot = tuple[str, str, str]


class Limits:
    """Which jobs run, and when each rate allows the next start (the generic cell rate algorithm)."""

    def __init__(self) -> None:
        self._running: dict[str, tuple[str, str, str | None]] = {}
        self._tats: dict[Slot, datetime] = {}

    @classmethod
    def of(cls, other: Limits) -> Limits:
        """A copy, to see what would start."""
        copy = cls()
        copy._running, copy._tats = dict(other._running), dict(other._tats)
        return copy

    def started(self, job: JobState, rules: QueueState | None, now: datetime) -> None:
        """The job takes a place of each of its limits."""
        for slot, limit in _limits(job, rules):
            if limit.rate is not None:
                spacing = timedelta(seconds=limit.rate.period / limit.rate.limit)
                self._tats[slot] = max(self._tats.get(slot, now), now) + spacing
        self._running[job.id] = job.queue, job.name, job.key

    def stopped(self, job: JobState) -> None:
        """The job does not run any more."""
        self._running.pop(job.id, None)

    def blocked(self, job: JobState, rules: QueueState | None, now: datetime) -> tuple[bool, datetime | None]:
        """Whether the job must wait, and until when, where time alone will do."""
        blocked, free_at = False, now
        for slot, limit in _limits(job, rules):
            if limit.concurrency is not None and self._count(slot) >= limit.concurrency:
                return True, None
            if (allowed := self._allowed(slot, limit, now)) > now:
                blocked, free_at = True, max(free_at, allowed)
        return blocked, free_at if blocked else None

    def reason(self, job: JobState, rules: QueueState | None, now: datetime) -> str | None:
        """Why the job must wait, None where it need not."""
        for slot, limit in _limits(job, rules):
            full = limit.concurrency is not None and self._count(slot) >= limit.concurrency
            if full or self._allowed(slot, limit, now) > now:
                return "rate_limited" if limit.concurrency is None else "capped"
        return None

    def running(self, queue: str) -> int:
        """How many jobs of a queue run."""
        return sum(1 for own, _, _ in self._running.values() if own == queue)

    def queues(self) -> set[str]:
        """The queues of which jobs run."""
        return {queue for queue, _, _ in self._running.values()}

    def _allowed(self, slot: Slot, limit: Limit, now: datetime) -> datetime:
        """When the rate allows the next start."""
        if limit.rate is None:
            return now
        burst, spacing = limit.rate.burst or limit.rate.limit, limit.rate.period / limit.rate.limit
        return self._tats.get(slot, now) - timedelta(seconds=spacing * (burst - 1))

    def _count(self, slot: Slot) -> int:
        queue, kind, value = slot
        return sum(
            own == queue and (kind == "queue" or value == (name if kind == "name" else key))
            for own, name, key in self._running.values()
        )


def _limits(job: JobState, rules: QueueState | None) -> Iterator[tuple[Slot, Limit]]:
    """The limits that concern a job, in the order in which it is held against them."""
    if rules is None:
        return
    settings = rules.settings
    if settings.per_key is not None and job.key is not None:
        yield (job.queue, "key", job.key), settings.per_key
    if job.name in settings.per_name:
        yield (job.queue, "name", job.name), settings.per_name[job.name]
    yield (job.queue, "queue", ""), Limit(concurrency=settings.concurrency, rate=settings.rate)
