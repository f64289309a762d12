"""Batches of jobs: counting them, what follows in the end, canceling them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from millrace import BatchSealed, JobContext, JobStatus, NotFound, Progress, ProgressStatus, Refused, UnknownBatch
from millrace.contracts.batch import BatchProgress
from millrace.testing.contracts.bench import DEADLINE, Bench, claim, head, seen


class BatchesContract:
    async def test_a_batch_counts_its_jobs_and_calls_back_once(self, bench: Bench) -> None:
        told: list[tuple[str, Any]] = []

        @bench.app.job(max_attempts=1)
        async def part(n: int) -> None:
            if n == 2:
                raise OSError("disk full")

        @bench.app.job
        async def report(job: JobContext) -> None:
            told.append((job.data["to"], job.data["batch"]))

        wish = {"name": "report", "data": {"to": "kim"}}
        async with bench.app.jobs.batch("import", on_complete=wish, on_success="report") as batch:
            jobs = [await batch.enqueue("part", {"n": 1})]
            jobs += await batch.enqueue_many({"name": "part", "data": {"n": n}} for n in (2, 3))
            before = await batch.get()
        assert (before.name, before.total, before.open, before.progress, before.is_sealed) == ("import", 3, 3, 0, False)
        await bench.run(*jobs)
        after = await batch.wait(DEADLINE)
        assert (after.completed, after.failed, after.cancelled, after.open, after.progress) == (2, 1, 0, 0, 1)
        assert (after.is_sealed, after.is_complete, after.is_success) == (True, True, False)
        [callback] = await bench.app.jobs.list(name="report", min_position=await head(bench.app))
        await bench.run(callback)
        counts = {"id": batch.id, "name": "import", "total": 3, "completed": 2, "failed": 1, "cancelled": 0}
        assert told == [("kim", counts)]

    async def test_a_batch_succeeds_when_its_dead_letters_were_retried(self, bench: Bench) -> None:
        healed = False

        @bench.app.job(max_attempts=1)
        async def shaky() -> None:
            if not healed:
                raise OSError("not yet")

        done = asyncio.Event()

        @bench.app.job
        async def celebrate(batch: dict[str, Any]) -> None:
            assert (batch["total"], batch["completed"]) == (1, 1)
            done.set()

        async with bench.app.jobs.batch(on_success="celebrate") as batch:
            job = await batch.enqueue("shaky")
        await bench.run(job)
        assert (await batch.wait(DEADLINE)).failed == 1
        healed = True
        assert (await bench.app.jobs.retry_many(batch=batch.id)).changed == 1
        assert (await batch.get()).open == 1
        await bench.run(job)
        await bench.deliver(done)
        assert (await batch.get()).is_success

    async def test_a_batch_may_have_a_progress_that_follows_its_jobs(self, bench: Bench) -> None:
        healed = False

        @bench.app.job(max_attempts=1)
        async def part(n: int) -> None:
            if n == 2 and not healed:
                raise OSError("disk full")

        async def progress(status: ProgressStatus) -> Progress:
            async def look() -> Progress:
                found = await bench.app.progress.get(batch.id)
                assert found is not None
                return found

            return await bench.until(look, lambda found: found.status is status)

        wish = {"user_id": "kim", "metadata": {"of": "photos"}}
        async with bench.app.jobs.batch("import", progress=wish) as batch:
            jobs = await batch.enqueue_many({"name": "part", "data": {"n": n}} for n in range(4))
        await bench.run(*jobs)
        failed = await progress(ProgressStatus.FAILED)
        assert (failed.progress, failed.user_id, failed.error) == (75, "kim", "1 of 4 jobs did not complete")
        assert failed.metadata == {"batch_id": batch.id, "batch": "import", "of": "photos"}
        assert failed.children is not None
        assert (failed.children.mode, failed.children.total, failed.children.failed) == ("jobs", 4, 1)
        healed = True
        await bench.app.jobs.retry_many(batch=batch.id)
        await bench.run(jobs[2])
        done = await progress(ProgressStatus.COMPLETED)
        assert (done.progress, done.children and done.children.completed) == (100, 4)
        async with bench.app.jobs.batch(progress=BatchProgress(expected=9)) as batch:
            pass
        assert (await progress(ProgressStatus.COMPLETED)).progress == 100
        async with bench.app.jobs.batch() as batch:
            pass
        assert await bench.app.progress.get(batch.id) is None

    async def test_a_batch_s_progress_is_cancelled_with_it_and_a_part_of_a_whole(self, bench: Bench) -> None:
        await bench.app.progress.create(id="release", children={"expected": 1})
        batch = await bench.app.jobs.batch("b", progress={"parent_id": "release"}).create()
        await batch.enqueue("nobody-runs-this")
        await batch.cancel("not wanted")

        async def look() -> Progress:
            found = await bench.app.progress.get("release")
            assert found is not None
            return found

        await bench.until(look, lambda found: found.status is ProgressStatus.FAILED)
        own = await bench.app.progress.get(batch.id)
        assert own is not None
        assert (own.status, own.error) == (ProgressStatus.CANCELLED, "its batch was cancelled")
        with pytest.raises(Refused):
            await bench.app.progress.update(batch.id, 5)

    async def test_a_sealed_batch_takes_no_job_and_an_unknown_one_neither(self, bench: Bench) -> None:
        batch = await bench.app.jobs.batch("b").create()
        await batch.seal()
        with pytest.raises(BatchSealed):
            await batch.enqueue("n")
        with pytest.raises(UnknownBatch):
            await bench.app.jobs.enqueue("n", batch="made-up")
        with pytest.raises(NotFound):
            await bench.app.jobs.batch(id="made-up").get()
        empty = await batch.wait(DEADLINE)
        assert (empty.total, empty.is_complete) == (0, True)
        with pytest.raises(Refused):
            await batch.cancel()

    async def test_canceling_a_batch_ends_its_jobs_wherever_they_are(self, bench: Bench) -> None:
        batch = await bench.app.jobs.batch("b").create()
        jobs = [await batch.enqueue("n", delay=delay) for delay in (None, None, 60)]
        other = await bench.app.jobs.enqueue("n")
        [running] = await claim(bench.app)
        assert running["job_id"] == jobs[0].id
        await batch.cancel("wrong file")
        ended = await batch.wait(DEADLINE)
        assert (ended.cancelled, ended.is_cancelled, ended.is_success) == (3, True, False)
        assert {(await seen(bench.app, job.id)).status for job in jobs} == {JobStatus.CANCELLED}
        assert (await seen(bench.app, other.id)).status is JobStatus.PENDING

    async def test_an_exception_while_jobs_are_added_cancels_the_batch(self, bench: Bench) -> None:
        batch = bench.app.jobs.batch("b")

        async def add_some() -> None:
            async with batch:
                await batch.enqueue("n")
                raise LookupError("no more files")

        with pytest.raises(LookupError):
            await add_some()
        assert (await batch.wait(DEADLINE)).cancelled == 1

    async def test_batches_are_listed_newest_first(self, bench: Bench) -> None:
        made = [await bench.app.jobs.batch(name).create() for name in ("a", "b", "a")]
        await made[0].seal()
        await made[0].wait(DEADLINE)
        assert [batch.id for batch in await bench.app.jobs.batches()] == [each.id for each in reversed(made)]
        assert [batch.id for batch in await bench.app.jobs.batches(name="a")] == [made[2].id, made[0].id]
        assert [batch.id for batch in await bench.app.jobs.batches(is_complete=True)] == [made[0].id]
        page = await bench.app.query("batch.list", {"limit": 2})
        rest = await bench.app.query("batch.list", {"limit": 2, "cursor": page["cursor"]})
        assert ([each["id"] for each in rest["batches"]], rest["cursor"]) == ([made[0].id], None)
