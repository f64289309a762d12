"""The jobs that can be claimed, in the order in which they are granted, and those that become due later."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from datetime import datetime

from millrace.testing.affinity import Affinities, Claimant
from millrace.testing.job_state import JobState
from millrace.testing.queue_limits import Limits
from millrace.testing.queue_state import QueueState

# Rank, tag, position and id.
Ready = tuple[float, float, int, str]
Delayed = tuple[datetime, int, str]


class Lanes:
    """Waiting jobs of one tenant.

    Args:
        held: whether jobs of a name may not start.

    An entry names the position of the event that made it; when the job has got further, the entry means nothing.
    """

    def __init__(self, held: Callable[[str], bool] = lambda _: False) -> None:
        self._held = held
        self._jobs: dict[str, JobState] = {}
        self._ready: dict[str, list[Ready]] = {}
        self._delayed: list[Delayed] = []
        self._dependents: dict[str, JobState] = {}
        self._queues: dict[str, QueueState] = {}
        self._limits = Limits()
        self.affinities = Affinities()
        self._tags: dict[tuple[str, str], float] = {}
        self._vtimes: Counter[str] = Counter()
        self._free_at: datetime | None = None

    def place(self, job: JobState, now: datetime, waits: bool = False) -> None:
        """Puts the job where its state calls for; one that `waits` for others is not to be found yet."""
        self._limits.stopped(job)
        self.affinities.placed(job)
        self._dependents.pop(job.id, None)
        if waits and job.waits:
            self._dependents[job.id] = job
        if not job.waits or waits:
            self._jobs.pop(job.id, None)
        elif job.run_at is None:
            self._jobs[job.id] = job
            self._push(job, now)
        else:
            self._jobs[job.id] = job
            heapq.heappush(self._delayed, (job.run_at, job.position, job.id))

    def rule(self, queue: QueueState, now: datetime) -> None:
        """The queue has these rules from now on; what waits in it is placed anew."""
        self._queues[queue.name] = queue
        lane = self._ready.pop(queue.name, [])
        for _, _, position, job_id in sorted(lane, key=lambda entry: entry[2]):
            if self._valid(job_id, position):
                self._push(self._jobs[job_id], now)

    def take(
        self, queues: tuple[str, ...] | None, slots: int, now: datetime, claimant: Claimant | None = None
    ) -> list[JobState]:
        """The next jobs in the order of their queues, out of some queues or of all, as far as limits allow.

        Args:
            claimant: who asks; jobs that prefer another worker are left to that one.
        """
        self._move_due(now)
        taken: list[JobState] = []
        aside: list[tuple[str, Ready]] = []
        self._free_at = None
        while len(taken) < slots:
            heads = [
                (lane[0], queue)
                for queue, lane in self._ready.items()
                if (queues is None or queue in queues) and not self._paused(queue) and self._settle(lane)
            ]
            if not heads:
                break
            entry, queue = min(heads)
            heapq.heappop(self._ready[queue])
            job = self._jobs[entry[3]]
            if self._held(job.name):
                aside.append((queue, entry))
                continue
            if claimant is not None and (kept := self.affinities.kept_until(job, claimant, now)) is not None:
                aside.append((queue, entry))
                self._free_at = kept if self._free_at is None else min(kept, self._free_at)
                continue
            blocked, until = self._limits.blocked(job, self._queues.get(queue), now)
            if blocked:
                aside.append((queue, entry))
                if until is not None and (self._free_at is None or until < self._free_at):
                    self._free_at = until
                continue
            self._limits.started(job, self._queues.get(queue), now)
            if claimant is not None:
                self.affinities.started(job, claimant)
            self._vtimes[queue] = max(self._vtimes[queue], entry[1])  # type: ignore[assignment]
            taken.append(self._jobs.pop(job.id))
        for queue, entry in aside:
            heapq.heappush(self._ready[queue], entry)
        return taken

    def ahead(self, job: JobState, now: datetime) -> tuple[int, int, str | None]:
        """How many jobs of the queue come first, how many of them by priority, and what the queue has against it."""
        self._move_due(now)
        rules, room = self._queues.get(job.queue), Limits.of(self._limits)
        lane = sorted(entry for entry in self._ready.get(job.queue, []) if self._valid(entry[3], entry[2]))
        before: list[JobState] = []
        for _, _, _, job_id in lane:
            if job_id == job.id:
                break
            other = self._jobs[job_id]
            if room.reason(other, rules, now) is None:
                room.started(other, rules, now)
            before.append(other)
        higher = sum(1 for other in before if other.priority > job.priority)
        # Limits set jobs aside whether their queue is paused or not.
        reason = room.reason(job, rules, now) or ("paused" if self._paused(job.queue) else None)
        if reason is None and self._held(job.name):
            reason = "circuit_open"
        if reason is None and self.affinities.waits(job, now):
            reason = "affinity"
        return len(before), higher, reason

    def next_due(self) -> datetime | None:
        """When the next delayed job may run, or the rate of a queue allows another start."""
        due = self._next_delayed()
        return min((at for at in (due, self._free_at) if at is not None), default=None)

    def counts(self, queue: str, now: datetime) -> tuple[int, Counter[str], int, float | None]:
        """How many jobs of a queue are ready, wait for which reason, and run; and seconds since the oldest came."""
        self._move_due(now)
        rules = self._queues.get(queue)
        waiting: Counter[str] = Counter()
        ready = 0
        created: list[datetime] = []
        room = Limits.of(self._limits)
        for _, _, _, job_id in sorted(entry for entry in self._ready.get(queue, []) if self._valid(entry[3], entry[2])):
            job = self._jobs[job_id]
            created.append(job.created_at)
            reason = room.reason(job, rules, now) or ("circuit_open" if self._held(job.name) else None)
            reason = reason or ("affinity" if self.affinities.waits(job, now) else None)
            if reason is None:
                room.started(job, rules, now)
                ready += 1
            else:
                waiting[reason] += 1
        delayed = sum(1 for job in self._jobs.values() if job.queue == queue and job.status == "delayed")
        if delayed:
            waiting["delayed"] = delayed - sum(
                1 for _, _, position, job_id in self._ready.get(queue, [])
                if self._valid(job_id, position) and self._jobs[job_id].status == "delayed"
            )  # fmt: skip
        waiting["dependent"] = sum(1 for job in self._dependents.values() if job.queue == queue)
        oldest = (now - min(created)).total_seconds() if created else None
        return ready, +waiting, self._limits.running(queue), oldest

    def waiting(self, queue: str) -> list[str]:
        """The ids of all jobs that wait in a queue."""
        return [job.id for jobs in (self._jobs, self._dependents) for job in jobs.values() if job.queue == queue]

    def named(self, name: str) -> int:
        """How many jobs of a name may run as far as their time is concerned."""
        return sum(1 for job in self._jobs.values() if job.name == name and job.status == "pending")

    def names(self) -> set[str]:
        """The queues that have rules, or jobs that wait or run."""
        return (
            self._queues.keys()
            | {job.queue for jobs in (self._jobs, self._dependents) for job in jobs.values()}
            | self._limits.queues()
        )

    def _next_delayed(self) -> datetime | None:
        while self._delayed and not self._valid(self._delayed[0][2], self._delayed[0][1]):
            heapq.heappop(self._delayed)
        return self._delayed[0][0] if self._delayed else None

    def _move_due(self, now: datetime) -> None:
        while (due := self._next_delayed()) is not None and due <= now:
            self._push(self._jobs[heapq.heappop(self._delayed)[2]], due)

    def _push(self, job: JobState, now: datetime) -> None:
        rules = self._queues.get(job.queue)
        rank, tag = float(-job.priority - job.queue_priority), 0.0
        if rules is not None and rules.settings.order == "aging":
            rank = now.timestamp() + rank * rules.settings.aging
        elif rules is not None and rules.settings.order == "fair":
            key = job.queue, job.key or ""
            tag = max(self._vtimes[job.queue], self._tags.get(key, 0.0)) + 1 / rules.settings.weights.get(key[1], 1.0)
            self._tags[key] = tag
        heapq.heappush(self._ready.setdefault(job.queue, []), (rank, tag, job.position, job.id))

    def _paused(self, queue: str) -> bool:
        rules = self._queues.get(queue)
        return rules is not None and rules.paused

    def _settle(self, lane: list[Ready]) -> bool:
        while lane and not self._valid(lane[0][3], lane[0][2]):
            heapq.heappop(lane)
        return bool(lane)

    def _valid(self, job_id: str, position: int) -> bool:
        job = self._jobs.get(job_id)
        return job is not None and job.position == position
