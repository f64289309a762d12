"""What follows for other jobs from the ends that a flush has noted: orphans and unwanted jobs are cancelled, batches
that are done say so. What is still to be done stands in tables, so nothing is forgotten in a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import assert_never

from domain.job import KIND, Job
from domain.ports import BatchCounts, Orphan, StoreUnavailable, StreamName, Unwanted, WorkQueue
from handlers.batch import Finish
from handlers.pipeline import Pipeline
from handlers.routes import CommandRoute, Decided, Moment
from millrace.contracts.job import Cancel
from millrace.contracts.wire import Context, Identifier, Message, Refused
from projections.work import work_of

PAUSE_SECONDS = 0.2
LIMIT = 500


class Disown(Message):
    """`job.disown`, from inside only: a job that this one was to run after did not complete."""

    job_id: Identifier
    parent_id: Identifier


def disown(job: Job, command: Disown, at: Moment) -> Decided:
    """Ends the job, unless its parent was retried and it has begun meanwhile."""
    if job.waits and not job.attempt:
        job.cancel(f"job {command.parent_id}, which it was to run after, did not complete", at.now)
    return Decided(job, {"job_id": at.id, "status": job.status})


def command_routes() -> dict[str, CommandRoute]:
    """Commands that only follow from others' ends."""
    return {
        "job.disown": CommandRoute(
            Disown, Job, disown, lambda command, _: str(command.job_id), remembered=False, continues=True, work=work_of
        )
    }


class Followups:
    """The loop that looks what is to be done. Several processes may run it: every command is harmless twice."""

    def __init__(self, queue: WorkQueue, pipeline: Pipeline) -> None:
        self._queue, self._pipeline = queue, pipeline

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            orphans, unwanted = await self._queue.orphans(LIMIT), await self._queue.unwanted(LIMIT)
            batches = await self._queue.batches(LIMIT)
            todo: Sequence[Orphan | Unwanted | BatchCounts] = [*orphans, *unwanted, *batches]
            await asyncio.gather(*(self._follow(each) for each in todo))
            # What was cancelled just now may have children and complete a batch: these come next.
            await asyncio.sleep(0 if todo else PAUSE_SECONDS)

    async def _follow(self, what: Orphan | Unwanted | BatchCounts) -> None:
        match what:
            case Orphan(tenant, job_id, parent_id):
                await self._give("job.disown", Disown(job_id=job_id, parent_id=parent_id), tenant, job_id, parent_id)
            case Unwanted(tenant, job_id, batch_id):
                reason = f"its batch {batch_id} was cancelled"
                await self._give("job.cancel", Cancel(job_id=job_id, reason=reason), tenant, job_id, batch_id)
            case BatchCounts():
                await self._finish(what)
            case _:
                assert_never(what)

    async def _finish(self, counts: BatchCounts) -> None:
        body = Finish(
            batch_id=counts.batch_id,
            tenant=counts.tenant,
            total=counts.total,
            completed=counts.completed,
            failed=counts.failed,
            cancelled=counts.cancelled,
        )
        command = "batch.succeed" if counts.is_complete else "batch.complete"
        await self._give(command, body, counts.tenant, counts.batch_id, counts.batch_id)

    async def _give(self, command: str, body: Message, tenant: str, id: str, cause: str) -> None:
        message_id = f"{StreamName(KIND, tenant, id).text}/{command}"
        context = Context(tenant, message_id, principal="millrace", causation_id=cause)
        answer = await self._pipeline.execute_internal(command, body, context)
        if isinstance(answer, Refused) and answer.problem.code == "unavailable":
            raise StoreUnavailable(answer.problem.detail)
