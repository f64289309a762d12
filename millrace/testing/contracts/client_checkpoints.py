"""Checkpoints: what an attempt saves, the next one finds."""

from __future__ import annotations

from typing import Any

import pytest

from millrace import CheckpointRefused, Invalid, JobContext, JobStatus, StaleAttempt
from millrace.testing.contracts.bench import Bench, claim

AT_ONCE = {"kind": "fixed", "delay": 0.05, "jitter": 0}


class CheckpointsContract:
    async def test_a_retry_continues_from_the_newest_checkpoint(self, bench: Bench) -> None:
        @bench.app.job(retry=AT_ONCE)
        async def copy(job: JobContext) -> list[Any]:
            done = job.checkpoint_state or []
            if len(done) < 3:
                for page in (job.attempt * 10, job.attempt * 10 + 1):
                    done.append(page)
                    await job.checkpoint(done)
                raise ConnectionError("again")
            return list(done)

        job = await bench.app.jobs.enqueue("copy")
        [ended] = await bench.run(job, seconds=1)
        assert (ended.status, ended.attempts, ended.result) == (JobStatus.COMPLETED, 3, [10, 11, 20, 21])

    async def test_a_plain_function_saves_without_awaiting(self, bench: Bench) -> None:
        @bench.app.job(retry=AT_ONCE)
        def copy(job: JobContext) -> Any:
            if job.attempt == 1:
                job.checkpoint({"page": 3}, force=True)
                job.checkpoint({"page": 4})
                raise ConnectionError("again")
            return job.checkpoint_state

        job = await bench.app.jobs.enqueue("copy")
        [ended] = await bench.run(job, seconds=1)
        assert ended.result == {"page": 4}
        saved = [
            event.data for event in await bench.app.history("job", job.id) if event.eventtype == "job.checkpointed"
        ]
        assert saved[0] == {"attempt": 1, "state": {"page": 3}, "number": 1}

    async def test_many_checkpoints_become_few_events(self, bench: Bench) -> None:
        @bench.app.job(retry=AT_ONCE)
        async def copy(job: JobContext) -> Any:
            if job.attempt == 1:
                for page in range(500):
                    await job.checkpoint({"page": page})
                raise ConnectionError("again")
            return job.checkpoint_state

        job = await bench.app.jobs.enqueue("copy")
        [ended] = await bench.run(job, seconds=1)
        assert ended.result == {"page": 499}
        names = [event.eventtype for event in await bench.app.history("job", job.id)]
        assert 1 <= names.count("job.checkpointed") < 20

    async def test_a_checkpoint_that_cannot_be_stored_is_refused_in_the_handler(self, bench: Bench) -> None:
        @bench.app.job
        async def copy(job: JobContext) -> list[str]:
            refusals = []
            for state in ("x" * 65_535, float("nan"), b"\xff", "\x00", object()):
                with pytest.raises(CheckpointRefused) as caught:
                    await job.checkpoint(state)
                refusals.append(str(caught.value))
            return refusals

        job = await bench.app.jobs.enqueue("copy")
        [ended] = await bench.run(job)
        assert len(ended.result) == 5
        assert "65536" in ended.result[0]

    async def test_only_the_running_attempt_may_save(self, bench: Bench) -> None:
        job = await bench.app.jobs.enqueue("n")
        await claim(bench.app)
        saved = {"job_id": job.id, "attempt": 1, "state": {"page": 3}, "number": 2}
        assert (await bench.app.execute("job.checkpoint", saved)).result["status"] == "processing"
        await bench.app.execute("job.checkpoint", {**saved, "state": {"page": 1}, "number": 1})
        with pytest.raises(StaleAttempt):
            await bench.app.execute("job.checkpoint", {**saved, "attempt": 2})
        with pytest.raises(Invalid):
            await bench.app.execute("job.checkpoint", {**saved, "state": "x" * 65_536, "number": 3})
        await bench.app.execute("job.report", {"job_id": job.id, "attempt": 1, "outcome": "returned"})
        [grant] = await claim(bench.app)
        assert grant["checkpoint"] == {"page": 3}
        returned = {"job_id": job.id, "attempt": 2, "outcome": "returned", "checkpoint": {"page": 9}}
        await bench.app.execute("job.report", returned)
        [grant] = await claim(bench.app)
        assert grant["checkpoint"] == {"page": 9}
        await bench.app.jobs.cancel(job.id)
        with pytest.raises(StaleAttempt):
            await bench.app.execute("job.checkpoint", {**saved, "attempt": 3})
