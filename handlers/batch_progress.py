"""The progress of batches: what their counts come to is told about once a second, however many jobs have ended."""

from __future__ import annotations

import asyncio

from domain.ports import BatchTally, StreamName, TrackedBatches
from domain.progress import KIND, Progress
from domain.progress_jobs import JobCounts, count_jobs
from handlers.pipeline import Pipeline
from handlers.routes import CommandRoute, Decided, Moment
from millrace.contracts.wire import Context, Identifier, Message, Refused

COMMAND = "progress.count_jobs"
LOOK_SECONDS = 1.0
PAGE = 500


class CountJobs(Message):
    """`progress.count_jobs`, from inside only: where the jobs of the batch of the same id have got to."""

    progress_id: Identifier
    counts: JobCounts


def count(progress: Progress, command: CountJobs, at: Moment) -> Decided:
    count_jobs(progress, command.counts, at.now)
    return Decided(progress, {"progress_id": at.id})


def internal_routes() -> dict[str, CommandRoute]:
    """The command that only the loop gives; repeating it changes nothing."""
    return {
        COMMAND: CommandRoute(
            CountJobs, Progress, count, lambda command, _: str(command.progress_id), remembered=False, continues=True
        )
    }


class BatchProgress:
    """The loop. Several processes may run it at once: older counts never follow newer ones."""

    def __init__(self, batches: TrackedBatches, pipeline: Pipeline) -> None:
        self._batches, self._pipeline = batches, pipeline

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            told = await self.tell()
            await asyncio.sleep(0 if told == PAGE else LOOK_SECONDS)

    async def tell(self) -> int:
        """Tells the progress of a page of batches whose counts have changed; returns how many there were."""
        tallies = await self._batches.untold(PAGE)
        if not tallies:
            return 0
        answers = await self._pipeline.execute(COMMAND, [_command(tally) for tally in tallies])
        # A progress that is not there any more needs to be told nothing; whoever could not be told is told again.
        told = [
            tally
            for tally, answer in zip(tallies, answers, strict=True)
            if not (isinstance(answer, Refused) and answer.problem.code in ("unavailable", "conflict"))
        ]
        await self._batches.note_told(told)
        return len(tallies)


def _command(tally: BatchTally) -> tuple[Message, Context]:
    body = CountJobs(progress_id=tally.batch_id, counts=tally.counts)
    stream = StreamName(KIND, tally.tenant, tally.batch_id).text
    return body, Context(tally.tenant, f"{stream}/{COMMAND}/{tally.counts.as_of}", "millrace")
