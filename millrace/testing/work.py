"""The jobs that can be claimed, in the order in which they are granted, and those that become due later."""

from __future__ import annotations

import heapq
from datetime import datetime

from millrace.testing.job_state import JobState

Ready = tuple[int, int, str]
Delayed = tuple[datetime, int, str]


class Lanes:
    """Waiting jobs of one tenant.

    An entry names the position of the event that made it; when the job has got further, the entry means nothing.
    """

    def __init__(self) -> None:
        self._jobs: dict[str, JobState] = {}
        self._ready: dict[str, list[Ready]] = {}
        self._delayed: list[Delayed] = []

    def place(self, job: JobState, waits: bool = False) -> None:
        """Puts the job where its state calls for; one that `waits` for others is not to be found yet."""
        if not job.waits or waits:
            self._jobs.pop(job.id, None)
        elif job.run_at is None:
            self._jobs[job.id] = job
            self._push(job)
        else:
            self._jobs[job.id] = job
            heapq.heappush(self._delayed, (job.run_at, job.position, job.id))

    def take(self, queues: tuple[str, ...] | None, slots: int, now: datetime) -> list[JobState]:
        """The next jobs by priority, then by age, out of some queues or of all."""
        self._move_due(now)
        taken: list[JobState] = []
        while len(taken) < slots:
            heads = [
                (lane[0], queue)
                for queue, lane in self._ready.items()
                if (queues is None or queue in queues) and self._settle(lane)
            ]
            if not heads:
                break
            (_, _, job_id), queue = min(heads)
            heapq.heappop(self._ready[queue])
            taken.append(self._jobs.pop(job_id))
        return taken

    def next_due(self) -> datetime | None:
        """When the next delayed job may run."""
        while self._delayed and not self._valid(self._delayed[0][2], self._delayed[0][1]):
            heapq.heappop(self._delayed)
        return self._delayed[0][0] if self._delayed else None

    def _move_due(self, now: datetime) -> None:
        while (due := self.next_due()) is not None and due <= now:
            self._push(self._jobs[heapq.heappop(self._delayed)[2]])

    def _push(self, job: JobState) -> None:
        heapq.heappush(
            self._ready.setdefault(job.queue, []), (-job.priority - job.queue_priority, job.position, job.id)
        )

    def _settle(self, lane: list[Ready]) -> bool:
        while lane and not self._valid(lane[0][2], lane[0][1]):
            heapq.heappop(lane)
        return bool(lane)

    def _valid(self, job_id: str, position: int) -> bool:
        job = self._jobs.get(job_id)
        return job is not None and job.position == position
