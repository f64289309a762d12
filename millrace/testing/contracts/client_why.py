"""Why a job has not started."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from millrace import Millrace, NotFound
from millrace.testing.contracts.bench import Bench, claim, head
from millrace.testing.contracts.client_circuits import POLICY, failing

NOBODY = "00000000-0000-4000-8000-000000000000"
LATER = {"kind": "fixed", "delay": 600}


class WhyContract:
    async def test_a_pause_comes_before_an_open_circuit_and_that_before_a_worker_of_the_key(self, bench: Bench) -> None:
        """Whether a claim has met the job already or not."""
        app = bench.app
        await app.circuits.configure("n", {**POLICY, "pause": 3_600})
        warm: dict[str, Any] = {"key": "acme", "affinity": 300, "max_attempts": 1}
        first = await app.jobs.enqueue("n", **warm)
        [grant] = await claimed_by(bench, "warm")
        await app.execute("job.report", {"job_id": first.id, "attempt": grant["attempt"], "outcome": "completed"})
        jobs = {"kept": (await app.jobs.enqueue("n", **warm)).id}
        assert await claimed_by(bench, "cold") == []
        assert await reasons(app, jobs) == {"kept": "affinity"}
        await app.queues.pause("default")
        assert await reasons(app, jobs) == {"kept": "paused"}
        await app.jobs.enqueue_many([{"name": "n", "max_attempts": 1, "queue": "bad"}] * 4)
        await failing(bench, "bad")
        jobs["new"] = (await app.jobs.enqueue("n")).id
        assert await reasons(app, jobs) == {"kept": "paused", "new": "paused"}
        await app.queues.resume("default")
        assert await reasons(app, jobs) == {"kept": "circuit-open", "new": "circuit-open"}
        assert await claimed_by(bench, "cold") == []
        assert await reasons(app, jobs) == {"kept": "circuit-open", "new": "circuit-open"}
        await app.queues.pause("default")
        assert await reasons(app, jobs) == {"kept": "paused", "new": "paused"}

    async def test_nobody_is_there_to_run_it(self, bench: Bench) -> None:
        job = await bench.app.jobs.enqueue("n")
        found = await bench.app.jobs.why(job.id)
        assert (found.job_id, found.code) == (job.id, "no-worker")

    async def test_nobody_looks_into_its_queue(self, bench: Bench) -> None:
        job = await bench.app.jobs.enqueue("n", queue="media")
        assert await claim(bench.app, 1, "default") == []
        found = await bench.app.jobs.why(job.id)
        assert found.code == "no-worker-for-queue"
        assert "'media'" in found.reason
        assert found.details["workers"] == 1

    async def test_others_come_first_by_age_or_by_priority(self, bench: Bench) -> None:
        await claim(bench.app)
        first = await bench.app.jobs.enqueue("n")
        second = await bench.app.jobs.enqueue("n")
        urgent = await bench.app.jobs.enqueue("n", priority=5)
        await bench.app.jobs.enqueue("n", queue="other", priority=9)
        found = await bench.app.jobs.why(second.id)
        assert (found.code, found.details["ahead"], found.details["higher"]) == ("jobs-ahead", 2, 1)
        assert (await bench.app.jobs.why(first.id)).details["ahead"] == 1
        assert (await bench.app.jobs.why(urgent.id)).code == "next"

    async def test_its_time_has_not_come(self, bench: Bench) -> None:
        due = bench.now() + timedelta(hours=1)
        job = await bench.app.jobs.enqueue("n", run_at=due)
        found = await bench.app.jobs.why(job.id)
        assert found.code == "delayed"
        assert due.isoformat() in found.reason

    async def test_its_queue_is_paused_or_full(self, bench: Bench) -> None:
        await bench.app.queues.configure("q", concurrency=1)
        first = await bench.app.jobs.enqueue("n", queue="q")
        second = await bench.app.jobs.enqueue("n", queue="q")
        assert [grant["job_id"] for grant in await claim(bench.app, 1, "q")] == [first.id]
        assert (await bench.app.jobs.why(second.id)).code == "capped"
        await bench.app.queues.pause("p")
        paused = await bench.app.jobs.enqueue("n", queue="p")
        assert (await bench.app.jobs.why(paused.id)).code == "paused"

    async def test_other_jobs_have_to_end_first(self, bench: Bench) -> None:
        parent = await bench.app.jobs.enqueue("n")
        child = await bench.app.jobs.enqueue("n", after=[parent.id])
        found = await bench.app.jobs.why(child.id)
        assert (found.code, found.details["parents"]) == ("dependent", [parent.id])
        assert parent.id in found.reason

    async def test_its_last_attempt_failed_and_the_next_is_not_due(self, bench: Bench) -> None:
        job = await bench.app.jobs.enqueue("n", retry=LATER)
        await claim(bench.app)
        error = {"type": "ValueError", "message": "no disk"}
        await bench.app.execute("job.report", {"job_id": job.id, "attempt": 1, "outcome": "failed", "error": error})
        found = await bench.app.jobs.why(job.id)
        assert (found.code, found.details["error"]) == ("retry", "no disk")
        assert found.reason.startswith("attempt 2 of 3 is due at ")

    async def test_it_has_started_or_ended(self, bench: Bench) -> None:
        running, cancelled, failed = [await bench.app.jobs.enqueue("n", max_attempts=1) for _ in range(3)]
        await claim(bench.app)
        found = await bench.app.jobs.why(running.id)
        assert (found.code, found.details["worker"]) == ("running", "contract")
        await bench.app.execute("job.report", {"job_id": running.id, "attempt": 1, "outcome": "completed"})
        assert (await bench.app.jobs.why(running.id)).code == "completed"
        await bench.app.jobs.cancel(cancelled.id)
        assert (await bench.app.jobs.why(cancelled.id)).code == "cancelled"
        [grant] = await claim(bench.app)
        error = {"type": "ValueError", "message": "no disk"}
        outcome = {"job_id": failed.id, "attempt": grant["attempt"], "outcome": "failed", "error": error}
        await bench.app.execute("job.report", outcome)
        dead = await bench.app.jobs.why(failed.id)
        assert (dead.code, dead.details["error"]) == ("dead-lettered", "no disk")

    async def test_there_must_be_such_a_job(self, bench: Bench) -> None:
        with pytest.raises(NotFound):
            await bench.app.jobs.why(NOBODY)
        job = await bench.app.jobs.enqueue("n")
        async with bench.other("somebody-else") as other:
            with pytest.raises(NotFound):
                await other.jobs.why(job.id)


async def claimed_by(bench: Bench, worker: str) -> list[dict[str, Any]]:
    """What a worker of its own name is granted at once, of all there is."""
    body = {"worker": worker, "queues": ["default"], "slots": 1}
    grants: list[dict[str, Any]] = (await bench.app.execute("job.claim", body)).result["grants"]
    return grants


async def reasons(app: Millrace, jobs: Mapping[str, str]) -> dict[str, str]:
    """Why each of the jobs waits; lists by what jobs wait for tell the same."""
    told = {name: (await app.jobs.why(job_id)).code for name, job_id in jobs.items()}
    position = await head(app)
    for reason in ("paused", "circuit-open", "affinity"):
        found = {job.id for job in await app.jobs.list(queue="default", waiting=reason, min_position=position)}
        assert found == {jobs[name] for name, code in told.items() if code == reason}, reason
    return told
