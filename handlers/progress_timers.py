"""What becomes of progress because time passes: a silent one is noted as stalled, an old one leaves the read model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import structlog

from domain.aggregate import Aggregate
from domain.job import KIND as JOB
from domain.job import Job
from domain.ports import DueProgress, StreamName
from domain.progress import KIND, Progress
from handlers.persistence import persistently
from handlers.pipeline import Pipeline
from handlers.routes import CommandRoute, Decided, Moment
from millrace.contracts.wire import Accepted, Context, Identifier, Message

STALL_SECONDS = 1.0
JOBS_SECONDS = 2.0
EXPIRE_SECONDS = 60.0
MORE_SECONDS = 1.0
PAGE = 500
log = structlog.get_logger("progress")


class Look(Message):
    """`progress.stall` and `progress.expire`, from inside only: time has passed."""

    progress_id: Identifier


def stall(progress: Progress, _: Look, at: Moment) -> Decided:
    progress.stall(at.now)
    return Decided(progress, {"progress_id": at.id})


def expire(progress: Progress, _: Look, at: Moment) -> Decided:
    progress.expire(at.now)
    return Decided(progress, {"progress_id": at.id})


class EndWithJob(Message):
    """`progress.end_with_job`, from inside only: the job that made it seems to have ended."""

    progress_id: Identifier
    job_id: Identifier


def end_with_job(progress: Progress, command: EndWithJob, at: Moment) -> Decided:
    """What the read models say may be old: the job itself is asked."""
    job = at.read.get((JOB, command.job_id))
    if isinstance(job, Job) and job.ended:
        reason = job.cancel_reason if job.status == "cancelled" else (job.error or {}).get("message")
        progress.end_with_job(job.status, reason, at.now)
    return Decided(progress, {"progress_id": at.id})


def _its_job(command: EndWithJob, context: Context) -> Mapping[StreamName, type[Aggregate]]:
    return {StreamName(JOB, context.tenant, command.job_id): Job}


def internal_routes() -> dict[str, CommandRoute]:
    """Commands that only the timers give; repeating them changes nothing."""

    def route(model: type[Message], decide: Callable[..., Decided]) -> CommandRoute:
        return CommandRoute(
            model, Progress, decide, lambda command, _: str(command.progress_id), remembered=False, continues=True
        )

    return {
        "progress.stall": route(Look, stall),
        "progress.expire": route(Look, expire),
        "progress.end_with_job": replace(route(EndWithJob, end_with_job), reads=_its_job),
    }


class ProgressTimers:
    """The three loops. Several processes may run them at once: what was noted is noted once.

    Args:
        ages: seconds after which a progress of each ended status goes; a status that is left out stays.
    """

    def __init__(self, due: DueProgress, pipeline: Pipeline, ages: Mapping[str, float]) -> None:
        self._due, self._pipeline, self._ages = due, pipeline, ages

    async def run(self) -> None:
        """Runs until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(persistently("stalls", self._stalls, pause=STALL_SECONDS))
            group.create_task(persistently("progress of ended jobs", self._end_with_jobs, pause=JOBS_SECONDS))
            group.create_task(persistently("progress retention", self._expiries))

    async def sweep(self) -> int:
        """Removes a page of each status of what has expired by now; returns how many."""
        removed = 0
        for status, age in self._ages.items():
            removed += await self._give("progress.expire", await self._due.expired(status, age, PAGE))
        return removed

    async def _stalls(self) -> None:
        await self._give("progress.stall", await self._due.silent(PAGE))

    async def _end_with_jobs(self) -> None:
        found = await self._due.left_behind(PAGE)
        ends = [(EndWithJob(progress_id=id, job_id=job_id), _inside(tenant, id, "end")) for tenant, id, job_id in found]
        if ends:
            await self._pipeline.execute("progress.end_with_job", ends)

    async def _expiries(self) -> None:
        while True:
            removed = await self.sweep()
            if removed:
                log.info("ended progress removed", action="progress_swept", removed=removed)
            # Where there was something there may be more, once the read model has seen what is gone.
            await asyncio.sleep(MORE_SECONDS if removed else EXPIRE_SECONDS)

    async def _give(self, command: str, found: Sequence[tuple[str, str]]) -> int:
        if not found:
            return 0
        commands = [(Look(progress_id=id), _inside(tenant, id, command)) for tenant, id in found]
        answers = await self._pipeline.execute(command, commands)
        return sum(isinstance(answer, Accepted) for answer in answers)


def _inside(tenant: str, id: str, what: str) -> Context:
    return Context(tenant, f"{StreamName(KIND, tenant, id).text}/{what}", "millrace")
