"""What happens because time passes: due jobs become ready, lapsed leases are recorded, old rows go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from domain.job import KIND, Job
from domain.job_events import NEVER_CONFIRMED
from domain.ports import LapsedLease, StreamName, WorkQueue
from handlers.followups import Followups
from handlers.persistence import persistently
from handlers.pipeline import Pipeline
from handlers.routes import CommandRoute, Decided, Moment
from millrace.contracts.wire import Context, Identifier, Message
from projections.work import work_of

MOVE_SECONDS = 0.2
SWEEP_SECONDS = 1.0
SWEEP_LIMIT = 500
FORGET_SECONDS = 600.0
FREE_RETURNS = 5
log = structlog.get_logger("timers")


class Lapse(Message):
    """`job.lapse`, from inside only: the lease of an attempt has lapsed."""

    job_id: Identifier
    attempt: int
    worker: Identifier
    confirmed: bool


def lapse(job: Job, command: Lapse, at: Moment) -> Decided:
    """An attempt whose worker never confirmed the grant has hardly begun; any other may have had effects and counts.

    A job that ends its worker at once is never confirmed either, so after some returns these attempts count too.
    """
    if command.confirmed or job.unconfirmed >= FREE_RETURNS:
        job.lose(command.attempt, command.worker, at.now)
    else:
        job.give_back(command.attempt, NEVER_CONFIRMED, at.now)
    return Decided(job, {"job_id": at.id, "status": job.status})


def command_routes() -> dict[str, CommandRoute]:
    """Commands that only the timers give."""
    return {
        "job.lapse": CommandRoute(
            Lapse,
            Job,
            lapse,
            lambda command, _: str(command.job_id),
            remembered=False,
            continues=True,
            work=work_of,
            watched=True,
        )
    }


class Timers:
    """The four loops.

    Args:
        forget: removes rows of operational tables that nobody will ask for any more; returns how many.
    """

    def __init__(
        self,
        queue: WorkQueue,
        pipeline: Pipeline,
        forget: Callable[[], Awaitable[int]],
    ) -> None:
        self._queue, self._pipeline, self._forget = queue, pipeline, forget
        self._followups = Followups(queue, pipeline)

    async def run(self) -> None:
        """Runs until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(persistently("mover", self._move))
            group.create_task(persistently("sweeper", self._sweep))
            group.create_task(persistently("followups", self._followups.run))
            group.create_task(persistently("forgetter", self._forget_often))

    async def _move(self) -> None:
        while True:
            due = await self._queue.move_due()
            await asyncio.sleep(MOVE_SECONDS if due is None else min(due, MOVE_SECONDS))

    async def _sweep(self) -> None:
        while True:
            lapsed = await self._queue.lapsed(SWEEP_LIMIT)
            await asyncio.gather(*(self._record(lease) for lease in lapsed))
            await asyncio.sleep(SWEEP_SECONDS)

    async def _record(self, lease: LapsedLease) -> None:
        stream = StreamName(KIND, lease.tenant, lease.job_id)
        context = Context(lease.tenant, f"{stream.text}/lapse/{lease.attempt}", principal="millrace")
        command = Lapse(job_id=lease.job_id, attempt=lease.attempt, worker=lease.worker, confirmed=lease.confirmed)
        answer = await self._pipeline.execute_internal("job.lapse", command, context, lapsed_attempt=lease.attempt)
        log.info(
            "lease lapsed",
            action="lease_lapsed",
            job=lease.job_id,
            attempt=lease.attempt,
            worker=lease.worker,
            answer=answer.to_wire()["ok"],
        )

    async def _forget_often(self) -> None:
        while True:
            rows = await self._forget()
            if rows:
                log.info("old rows removed", action="rows_forgotten", rows=rows)
            await asyncio.sleep(FORGET_SECONDS)
