"""Canceling, removing and reviving jobs."""

from __future__ import annotations

import asyncio

import pytest

from millrace import JobStatus, NotFound, Refused
from millrace.testing.contracts.bench import DEADLINE, Bench, claim, head, seen, working

NOBODY = "00000000-0000-4000-8000-000000000000"


class ControlContract:
    async def test_a_waiting_job_is_canceled(self, bench: Bench) -> None:
        waiting = await bench.app.jobs.enqueue("n")
        delayed = await bench.app.jobs.enqueue("n", delay=60)
        for job in (waiting, delayed):
            assert await bench.app.jobs.cancel(job.id, "not needed") is True
            assert (await seen(bench.app, job.id)).status is JobStatus.CANCELLED
        assert await claim(bench.app) == []
        [*_, event] = await bench.app.history("job", waiting.id)
        assert (event.eventtype, event.data["reason"]) == ("job.cancelled", "not needed")

    async def test_canceling_twice_is_canceling_once(self, bench: Bench) -> None:
        job = await bench.app.jobs.enqueue("n")
        assert [await bench.app.jobs.cancel(job.id) for _ in range(2)] == [True, True]
        assert len(await bench.app.history("job", job.id)) == 2

    async def test_a_job_that_has_ended_is_not_canceled(self, bench: Bench) -> None:
        @bench.app.job
        async def n() -> None: ...

        job = await bench.app.jobs.enqueue("n")
        await bench.run(job)
        assert await bench.app.jobs.cancel(job.id) is False
        assert (await seen(bench.app, job.id)).status is JobStatus.COMPLETED

    async def test_canceling_a_running_job_stops_its_handler(self, bench: Bench) -> None:
        started, stopped = asyncio.Event(), asyncio.Event()

        @bench.app.job
        async def endless() -> None:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                stopped.set()

        job = await bench.app.jobs.enqueue("endless")
        async with working(bench.app), asyncio.timeout(DEADLINE):
            await started.wait()
            assert await bench.app.jobs.cancel(job.id) is True
            await stopped.wait()
        ended = await seen(bench.app, job.id)
        assert (ended.status, ended.worker) == (JobStatus.CANCELLED, None)

    async def test_what_is_named_must_exist(self, bench: Bench) -> None:
        for act in (bench.app.jobs.cancel, bench.app.jobs.retry, bench.app.jobs.remove):
            with pytest.raises(NotFound):
                await act(NOBODY)
        with pytest.raises(NotFound):
            await bench.app.jobs.result(NOBODY, timeout=DEADLINE)
        assert await bench.app.jobs.get(NOBODY) is None
        assert await bench.app.jobs.get_status(NOBODY) is None

    async def test_a_waiting_or_finished_job_can_be_removed(self, bench: Bench) -> None:
        @bench.app.job
        async def n() -> None: ...

        finished = await bench.app.jobs.enqueue("n")
        waiting = await bench.app.jobs.enqueue("n", delay=3_600)
        await bench.run(finished)
        for job in (finished, waiting):
            assert await bench.app.jobs.remove(job.id) is True
            assert await bench.app.jobs.remove(job.id) is True
            assert await bench.app.jobs.get(job.id) is None
        position = await head(bench.app)
        assert await bench.app.jobs.list(min_position=position) == []
        assert await claim(bench.app) == []
        stats = await bench.app.query("job.stats", {}, min_position=position)
        assert not any(count for name, count in stats.items() if name != "workers")

    async def test_a_running_job_is_not_removed(self, bench: Bench) -> None:
        job = await bench.app.jobs.enqueue("n")
        await claim(bench.app)
        with pytest.raises(Refused, match="running") as refused:
            await bench.app.jobs.remove(job.id)
        assert (refused.value.code, refused.value.problem.status) == ("refused", 409)

    async def test_a_dead_letter_gets_as_many_attempts_again(self, bench: Bench) -> None:
        @bench.app.job
        async def n() -> str:
            return "mended"

        job = await bench.app.jobs.enqueue("n", max_attempts=1)
        await claim(bench.app)
        error = {"type": "ValueError", "message": "broken"}
        await bench.app.execute("job.report", {"job_id": job.id, "attempt": 1, "outcome": "failed", "error": error})
        [dead] = await bench.app.jobs.dead_letters(min_position=await head(bench.app))
        assert (dead.id, dead.status, dead.dead_lettered, dead.attempts) == (job.id, JobStatus.FAILED, True, 1)
        await bench.app.jobs.retry(job.id, "mended the code")
        revived = await seen(bench.app, job.id)
        assert (revived.status, revived.dead_lettered, revived.max_attempts) == (JobStatus.PENDING, False, 2)
        [ended] = await bench.run(job)
        assert (ended.status, ended.result, ended.attempts, len(ended.errors)) == (JobStatus.COMPLETED, "mended", 2, 1)
        assert await bench.app.jobs.dead_letters(min_position=await head(bench.app)) == []

    async def test_only_dead_letters_are_retried(self, bench: Bench) -> None:
        job = await bench.app.jobs.enqueue("n")
        with pytest.raises(Refused, match="dead letters"):
            await bench.app.jobs.retry(job.id)

    async def test_a_removed_dead_letter_does_not_come_back(self, bench: Bench) -> None:
        @bench.app.job(max_attempts=1)
        async def n() -> None:
            raise RuntimeError("no")

        job = await bench.app.jobs.enqueue("n")
        await bench.run(job)
        await bench.app.jobs.remove(job.id)
        with pytest.raises(Refused):
            await bench.app.jobs.retry(job.id)
        assert await claim(bench.app) == []
