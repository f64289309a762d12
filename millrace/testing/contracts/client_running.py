"""Running jobs: results, errors, retries, order, and attempts that are not valid any more."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import pytest

from millrace import JobContext, JobFailed, JobStatus, NonRetryable, StaleAttempt
from millrace.testing.contracts.bench import DEADLINE, Bench, claim, seen, working

ONCE = {"kind": "none"}


class RunningContract:
    async def test_the_result_of_a_job_can_be_read_and_awaited(self, bench: Bench) -> None:
        @bench.app.job
        async def add(a: int, b: int) -> dict[str, int]:
            return {"sum": a + b}

        job = await bench.app.jobs.enqueue("add", {"a": 1, "b": 2})
        [ended] = await bench.run(job)
        assert (ended.status, ended.result, ended.attempts, ended.error) == (JobStatus.COMPLETED, {"sum": 3}, 1, None)
        assert ended.created_at <= ended.started_at <= ended.completed_at  # type: ignore[operator]
        assert await bench.app.jobs.result(job.id, timeout=DEADLINE) == {"sum": 3}

    @pytest.mark.parametrize("value", [None, 0, "text", [1, None], {"deep": {"er": [1.5]}}, False])
    async def test_any_json_value_is_a_result(self, bench: Bench, value: Any) -> None:
        @bench.app.job
        async def give() -> Any:
            return value

        job = await bench.app.jobs.enqueue("give")
        [ended] = await bench.run(job)
        assert (ended.status, ended.result) == (JobStatus.COMPLETED, value)

    async def test_plain_functions_run_too_and_see_their_job(self, bench: Bench) -> None:
        @bench.app.job
        def plain(x: int, job: JobContext) -> list[Any]:
            return [x, job.id, job.attempt, job.queue]

        job = await bench.app.jobs.enqueue("plain", {"x": 1})
        [ended] = await bench.run(job)
        assert ended.result == [1, job.id, 1, "default"]

    async def test_higher_priority_runs_first_then_age(self, bench: Bench) -> None:
        order: list[str] = []

        @bench.app.job
        async def note(tag: str) -> None:
            order.append(tag)

        wanted = [("low", -10), ("first", 0), ("second", 0), ("high", 10)]
        jobs = [await bench.app.jobs.enqueue("note", {"tag": tag}, priority=priority) for tag, priority in wanted]
        await bench.run(*jobs)
        assert order == ["high", "first", "second", "low"]

    async def test_a_delayed_job_runs_when_it_is_due(self, bench: Bench) -> None:
        @bench.app.job
        async def n() -> None: ...

        delay = 3_600.0 if bench.capabilities.virtual_clock else 1.0
        job = await bench.app.jobs.enqueue("n", delay=delay)
        assert await claim(bench.app) == []
        due = (await seen(bench.app, job.id)).run_at
        [ended] = await bench.run(job, seconds=delay)
        assert ended.status is JobStatus.COMPLETED
        assert ended.started_at is not None
        assert due is not None
        assert ended.started_at >= due

    async def test_queues_for_the_urgent_and_the_unimportant_add_to_the_priority(self, bench: Bench) -> None:
        wanted = [("low_priority", 5), ("default", 0), ("high_priority", -5), ("default", 6)]
        jobs = [await bench.app.jobs.enqueue("n", queue=queue, priority=priority) for queue, priority in wanted]
        granted = await claim(bench.app, 4, "default", "low_priority", "high_priority")
        assert [grant["job_id"] for grant in granted] == [jobs[index].id for index in (3, 2, 1, 0)]
        assert [grant["priority"] for grant in granted] == [6, -5, 0, 5]

    async def test_a_worker_that_has_stopped_uses_no_attempts(self, bench: Bench) -> None:
        @bench.app.job
        async def n() -> None: ...

        for _ in range(2):
            job = await bench.app.jobs.enqueue("n")
            [ended] = await bench.run(job)
            assert (ended.status, ended.attempts) == (JobStatus.COMPLETED, 1)

    async def test_each_failed_attempt_keeps_its_error(self, bench: Bench) -> None:
        @bench.app.job(retry={"kind": "fixed", "delay": 0.05, "jitter": 0})
        async def flaky(job: JobContext) -> str:
            if job.attempt < 3:
                raise ValueError(f"attempt {job.attempt}")
            return "at last"

        job = await bench.app.jobs.enqueue("flaky")
        [ended] = await bench.run(job, seconds=1)
        assert (ended.status, ended.result, ended.attempts, ended.error) == (JobStatus.COMPLETED, "at last", 3, None)
        assert [(e.attempt, e.type, e.message) for e in ended.errors] == [
            (1, "ValueError", "attempt 1"),
            (2, "ValueError", "attempt 2"),
        ]
        assert "flaky" in (ended.errors[0].traceback or "")

    @pytest.mark.parametrize(
        ("policy", "waits"),
        [
            ({"kind": "fixed", "delay": 0.2, "jitter": 0}, [0.2, 0.2, 0.2]),
            ({"kind": "exponential", "delay": 0.1, "factor": 2, "jitter": 0}, [0.1, 0.2, 0.4]),
            ({"kind": "exponential", "delay": 0.1, "factor": 10, "max_delay": 0.2, "jitter": 0}, [0.1, 0.2, 0.2]),
        ],
    )
    async def test_retries_wait_as_the_policy_says(
        self, bench: Bench, policy: dict[str, Any], waits: list[float]
    ) -> None:
        @bench.app.job(max_attempts=4, retry=policy)
        async def failing() -> None:
            raise RuntimeError("no")

        job = await bench.app.jobs.enqueue("failing")
        [ended] = await bench.run(job, seconds=5)
        assert (ended.status, ended.dead_lettered, ended.attempts) == (JobStatus.FAILED, True, 4)
        assert (ended.error, ended.error_detail) == ("no", ended.errors[-1])
        scheduled = [e for e in await bench.app.history("job", job.id) if e.eventtype == "job.retry_scheduled"]
        due = [datetime.fromisoformat(event.data["run_at"]) for event in scheduled]
        assert len(due) == 3
        gaps = [(at - error.at).total_seconds() for at, error in zip(due, ended.errors[:3], strict=True)]
        assert gaps == pytest.approx(waits, abs=0.001)

    async def test_jitter_shortens_a_wait_by_its_share_at_most(self, bench: Bench) -> None:
        @bench.app.job(max_attempts=2, retry={"kind": "fixed", "delay": 0.2, "jitter": 0.5})
        async def failing() -> None:
            raise RuntimeError("no")

        jobs = await bench.app.jobs.enqueue_many([{"name": "failing"}] * 4)
        ended = await bench.run(*jobs, seconds=2)
        gaps = [(job.errors[1].at - job.errors[0].at).total_seconds() for job in ended]
        assert all(gap >= 0.1 for gap in gaps)

    @pytest.mark.parametrize("how", ["error", "policy", "attempts"])
    async def test_no_retry_where_none_is_wanted(self, bench: Bench, how: str) -> None:
        @bench.app.job(max_attempts=1 if how == "attempts" else 3, retry=ONCE if how == "policy" else None)
        async def failing() -> None:
            raise NonRetryable("never") if how == "error" else RuntimeError("never")

        job = await bench.app.jobs.enqueue("failing")
        [ended] = await bench.run(job)
        assert (ended.status, ended.dead_lettered, ended.attempts, ended.error) == (JobStatus.FAILED, True, 1, "never")
        assert ended.failed_at is not None
        with pytest.raises(JobFailed, match="never"):
            await bench.app.jobs.result(job.id, timeout=DEADLINE)

    async def test_an_attempt_that_takes_too_long_fails(self, bench: Bench) -> None:
        @bench.app.job(timeout=0.1, max_attempts=1)
        async def slow() -> None:
            await asyncio.Event().wait()

        job = await bench.app.jobs.enqueue("slow")
        [ended] = await bench.run(job)
        assert (ended.status, [error.type for error in ended.errors]) == (JobStatus.FAILED, ["Timeout"])

    async def test_data_that_fits_no_parameter_is_not_retried(self, bench: Bench) -> None:
        @bench.app.job
        async def strict(a: int) -> None: ...

        job = await bench.app.jobs.enqueue("strict", {"b": 1})
        [ended] = await bench.run(job)
        assert (ended.status, ended.attempts) == (JobStatus.FAILED, 1)

    async def test_what_a_handler_enqueues_is_linked_to_its_job(self, bench: Bench) -> None:
        @bench.app.job
        async def parent() -> str:
            return (await bench.app.jobs.enqueue("child")).id

        @bench.app.job
        async def child() -> None: ...

        job = await bench.app.jobs.enqueue("parent")
        [ended] = await bench.run(job)
        [first, *_] = await bench.app.history("job", ended.result)
        assert first.causationid == job.id
        assert {event.subject for event in await bench.app.why(job.id)} == {job.id, ended.result}

    async def test_only_the_named_queues_are_claimed(self, bench: Bench) -> None:
        mail = await bench.app.jobs.enqueue("n", queue="mail", priority=-5)
        other = await bench.app.jobs.enqueue("n", queue="other", priority=5)
        assert await claim(bench.app, 5, "default") == []
        granted = await claim(bench.app, 5, "mail", "other")
        assert [(grant["job_id"], grant["attempt"]) for grant in granted] == [(other.id, 1), (mail.id, 1)]
        assert await claim(bench.app, 5, "mail", "other") == []

    async def test_a_worker_takes_each_queue_s_part_and_what_is_left_by_priority(self, bench: Bench) -> None:
        order: list[str] = []

        @bench.app.job
        async def note(job: JobContext) -> None:
            order.append(job.queue)

        urgent = await bench.app.jobs.enqueue_many([{"name": "note", "queue": "often", "priority": 9}] * 12)
        seldom = await bench.app.jobs.enqueue_many([{"name": "note", "queue": "seldom"}] * 4)
        async with working(bench.app, concurrency=4, queues={"often": 3, "seldom": 1}):
            await asyncio.gather(*(bench.app.jobs.result(job.id, timeout=DEADLINE) for job in [*urgent, *seldom]))
        assert [order[:4].count(queue) for queue in ("often", "seldom")] == [3, 1]
        assert [order.count(queue) for queue in ("often", "seldom")] == [12, 4]

    async def test_only_the_running_attempt_may_report(self, bench: Bench) -> None:
        job = await bench.app.jobs.enqueue("n")
        await claim(bench.app)
        report = {"job_id": job.id, "attempt": 1, "outcome": "completed", "result": "mine"}
        with pytest.raises(StaleAttempt):
            await bench.app.execute("job.report", report | {"attempt": 2})
        for _ in range(2):
            assert (await bench.app.execute("job.report", report)).result["status"] == "completed"
        failure = {"job_id": job.id, "attempt": 1, "outcome": "failed", "error": {"type": "E", "message": "late"}}
        with pytest.raises(StaleAttempt):
            await bench.app.execute("job.report", failure)
        assert (await seen(bench.app, job.id)).result == "mine"

    async def test_an_attempt_handed_back_does_not_count(self, bench: Bench) -> None:
        job = await bench.app.jobs.enqueue("n")
        await claim(bench.app)
        await bench.app.execute("job.report", {"job_id": job.id, "attempt": 1, "outcome": "returned"})
        returned = await seen(bench.app, job.id)
        assert (returned.status, returned.attempts) == (JobStatus.PENDING, 0)
        [grant] = await claim(bench.app)
        assert (grant["attempt"], grant["attempts"]) == (2, 1)

    async def test_a_renewal_names_the_attempts_that_are_lost(self, bench: Bench) -> None:
        jobs = await bench.app.jobs.enqueue_many([{"name": "n"}, {"name": "n"}])
        await claim(bench.app, 2)
        await bench.app.jobs.cancel(jobs[0].id, "no room")
        body = {"worker": "contract", "attempts": [{"job_id": job.id, "attempt": 1} for job in jobs]}
        renewed = (await bench.app.execute("job.renew", body)).result
        assert renewed["lost"] == [{"job_id": jobs[0].id, "attempt": 1, "status": "cancelled", "reason": "no room"}]
        assert renewed["lease"] > 0
