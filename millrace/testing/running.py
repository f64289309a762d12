"""Runs what is due, moves the clock to what is due next, and so on: the worker of `run_jobs`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pydantic_core import from_json, to_json

from millrace.contracts.job import Job
from millrace.contracts.wire import Context
from millrace.ids import uuid7
from millrace.testing.deliveries import Deliveries
from millrace.worker_declarations import declare
from millrace.worker_leases import Key
from millrace.worker_runner import Run, Runner, Stop
from millrace.worker_threads import Threads

if TYPE_CHECKING:
    from millrace.testing.app import MillraceTest

MAX_RUNS = 100_000
WORKER = "run_jobs"


class EndlessWork(AssertionError):
    """Raised when handlers keep making work: jobs that enqueue themselves, events that cause themselves."""

    def __init__(self, runs: int) -> None:
        super().__init__(f"there was still something to do after {runs} runs; does a job or an event cause itself?")
        self.runs = runs


class Running:
    """One call of `run_jobs`. Handlers run in the worker's own runner: what they see and how they end is the same."""

    def __init__(
        self, app: MillraceTest, deliveries: Deliveries, queues: Sequence[str] | None, concurrency: int, max_runs: int
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, not {concurrency}")
        self._app, self._memory, self._deliveries = app, app.memory, deliveries
        self._tenant = app.settings.tenant
        self._queues = None if queues is None else tuple(queues)
        self._concurrency, self._max_runs, self._count = concurrency, max_runs, 0
        self._threads = Threads()
        self._runner = Runner(app.link, app.registry, self._threads, self._report, self._ended)
        self._runs: dict[Key, Run] = {}
        self._ran: dict[str, None] = {}

    async def run(self, advance: float) -> list[Job]:
        clock = self._memory.clock
        until = clock.now() + timedelta(seconds=advance)
        if advance < 0:
            raise ValueError(f"time does not go back: advance={advance}")
        self._app.registry.complete()
        await declare(self._app)
        try:
            while True:
                await self._run_due()
                due = self._next_due()
                if due is None or due > until:
                    break
                clock.move_to(max(due, clock.now()))
            clock.move_to(max(until, clock.now()))
            return [job for job_id in self._ran if (job := await self._app.jobs.get(job_id)) is not None]
        finally:
            for run in list(self._runs.values()):
                self._runner.stop(run, Stop.SHUTDOWN)
            await self._runner.logs.drained()
            self._runner.close()
            self._threads.close()

    async def _run_due(self) -> None:
        while True:
            await self._memory.until(self._step)
            if not self._runs and not await self._deliver():
                return

    def _step(self) -> bool | None:
        """Starts what there is room for and stops what is not valid any more; true when nothing runs or can be."""
        for run in list(self._runs.values()):
            if run.reason is None and not self._memory.claims.valid(self._tenant, *run.key):
                told = self._memory.claims.cancellation(self._tenant, run.job.id)
                run.job.told(told.get("status"), told.get("reason"))
                self._runner.stop(run, Stop.LOST)
        free = self._concurrency - len(self._runs)
        if free > 0:
            claimed = self._memory.claim(self._tenant, WORKER, self._queues, free)
            for grant in from_json(to_json(claimed["grants"])):
                self._note_run()
                self._ran[grant["job_id"]] = None
                self._runs[grant["job_id"], grant["attempt"]] = self._runner.start(grant)
        return None if self._runs else True

    async def _deliver(self) -> bool:
        delivered = await self._deliveries.deliver_one(self._threads)
        if delivered:
            self._note_run()
        return delivered

    def _next_due(self) -> datetime | None:
        candidates = (
            self._memory.claims.next_due(self._tenant),
            self._memory.scheduler.next_due(self._tenant),
            self._memory.circuits.next_due(self._tenant),
            self._memory.deliveries.next_due(self._tenant),
            self._deliveries.next_due(),
        )
        return min((due for due in candidates if due is not None), default=None)

    def _note_run(self) -> None:
        self._count += 1
        if self._count > self._max_runs:
            raise EndlessWork(self._max_runs)

    def _report(self, key: Key, body: bytes, tenant: str | None) -> None:
        context = Context(tenant or self._tenant, f"report:{key[0]}:{key[1]}:{uuid7()}")
        self._memory.execute("job.report", from_json(body), context)

    def _ended(self, run: Run) -> None:
        self._runs.pop(run.key, None)
        self._memory.changed()
