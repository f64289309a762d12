"""How the progress of a job ends: with what it was told last, and never in the way of the job's own error."""

from __future__ import annotations

import asyncio

import pytest

from millrace import JobContext, JobStatus, NotFound, ProgressStatus
from millrace.testing.contracts.bench import Bench
from millrace.testing.contracts.client_progress import seen


class ProgressEndsContract:
    @pytest.mark.parametrize("turns", [0, 1, 5, 20])
    async def test_the_last_percent_of_an_attempt_that_fails_is_recorded(self, bench: Bench, turns: int) -> None:
        """Whether it still waits to be sent when the attempt fails, or is on its way."""

        @bench.app.job(max_attempts=1)
        async def broken(job: JobContext) -> None:
            async with job.progress() as progress:
                for percent in (10, 20, 57.5):
                    await progress.update(percent)
                    for _ in range(turns):
                        await asyncio.sleep(0)
                raise RuntimeError("no")

        [job] = await bench.run(await bench.app.jobs.enqueue("broken"))
        progress = await seen(bench, job.id)
        assert (progress.status, progress.progress, progress.error) == (ProgressStatus.FAILED, 57.5, "no")
        assert (job.status, job.error) == (JobStatus.FAILED, "no")

    async def test_that_of_a_plain_function_is_too(self, bench: Bench) -> None:
        @bench.app.job(max_attempts=1)
        def broken(job: JobContext) -> None:
            with job.progress(["a", "b"]) as progress:
                for percent in (10, 20, 50):
                    progress.update(percent, "b")
                raise RuntimeError("no")

        [job] = await bench.run(await bench.app.jobs.enqueue("broken"))
        progress = await seen(bench, job.id)
        assert (progress.status, progress.progress, progress.stage) == (ProgressStatus.FAILED, 75, "b")

    async def test_the_next_attempt_goes_on_from_the_last_percent(self, bench: Bench) -> None:
        begun: list[float] = []

        @bench.app.job(max_attempts=2, retry={"kind": "fixed", "delay": 0.05})
        async def again(job: JobContext) -> None:
            async with job.progress() as progress:
                begun.append(progress.progress)
                await progress.update(10)
                await progress.update(57.5)
                if job.attempt == 1:
                    raise RuntimeError("no")

        [job] = await bench.run(await bench.app.jobs.enqueue("again"), seconds=1)
        assert (job.status, begun) == (JobStatus.COMPLETED, [0, 57.5])

    async def test_what_is_refused_at_the_end_hides_no_error_of_the_job(self, bench: Bench) -> None:
        @bench.app.job(max_attempts=1)
        async def broken(job: JobContext) -> None:
            async with job.progress() as progress:
                await bench.app.progress.remove(job.id)
                await progress.update(57.5)
                raise RuntimeError("no")

        [job] = await bench.run(await bench.app.jobs.enqueue("broken"))
        assert (job.status, job.error) == (JobStatus.FAILED, "no")
        with pytest.raises(NotFound):
            await bench.app.progress.update(job.id, 60)

    async def test_an_error_that_cannot_be_written_does_not_hide_itself(self, bench: Bench) -> None:
        @bench.app.job(max_attempts=1)
        async def broken(job: JobContext) -> None:
            async with job.progress() as progress:
                await progress.update(57.5)
                raise RuntimeError("half of \ud83d")

        [job] = await bench.run(await bench.app.jobs.enqueue("broken"))
        assert job.status is JobStatus.FAILED
        assert str(job.error).startswith("half of ")

    async def test_an_update_is_recorded_at_once_where_the_work_stops(self, bench: Bench) -> None:
        await bench.app.progress.create(id="upload")
        await bench.app.progress.update("upload", 10)
        told = await bench.app.progress.update("upload", 57.5, record=True)
        assert (told.outcome, told.progress) == ("recorded", 57.5)
        assert (await seen(bench, "upload")).progress == 57.5
        behind = await bench.app.progress.update("upload", 30, record=True)
        assert (behind.outcome, behind.progress) == ("sampled", 57.5)
