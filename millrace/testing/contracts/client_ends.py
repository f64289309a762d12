"""How a handler ends when it is not simply done: later, not now, out of time, canceled."""

from __future__ import annotations

import asyncio
import threading
from datetime import datetime
from typing import Any

import pytest

from millrace import JobContext, JobStatus, NonRetryable, RetryAfter, Snooze, SoftTimeout
from millrace.testing.contracts.bench import DEADLINE, Bench, seen, working

FAR = {"kind": "fixed", "delay": 3_000, "jitter": 0}


class EndsContract:
    async def test_the_handler_chooses_when_it_is_tried_again(self, bench: Bench) -> None:
        @bench.app.job(retry=FAR, max_attempts=2)
        async def busy() -> None:
            raise RetryAfter(0.2, "the printer is busy")

        job = await bench.app.jobs.enqueue("busy")
        [ended] = await bench.run(job, seconds=1)
        assert (ended.status, ended.attempts) == (JobStatus.FAILED, 2)
        assert [error.message for error in ended.errors] == ["the printer is busy"] * 2
        [due] = await scheduled(bench, job.id)
        assert (due - ended.errors[0].at).total_seconds() == pytest.approx(0.2, abs=0.001)

    async def test_a_function_of_the_error_chooses_the_wait_or_leaves_it_to_the_policy(self, bench: Bench) -> None:
        def wait(job: JobContext, error: Exception) -> float | None:
            if isinstance(error, ZeroDivisionError):
                raise LookupError("no idea")
            return 0.1 * job.attempt if isinstance(error, ConnectionError) else None

        errors = [ConnectionError("gone"), ConnectionError("gone"), ValueError("no"), ZeroDivisionError("no")]

        @bench.app.job(retry=wait, max_attempts=5)
        async def flaky(job: JobContext) -> str:
            if job.attempt <= len(errors):
                raise errors[job.attempt - 1]
            return "done"

        job = await bench.app.jobs.enqueue("flaky", retry={"kind": "fixed", "delay": 0.3, "jitter": 0})
        [ended] = await bench.run(job, seconds=5)
        assert ended.result == "done"
        waits = zip(await scheduled(bench, job.id), ended.errors, strict=True)
        assert [round((due - error.at).total_seconds(), 2) for due, error in waits] == [0.1, 0.2, 0.3, 0.3]

    async def test_a_snoozed_job_uses_no_attempt(self, bench: Bench) -> None:
        @bench.app.job(max_attempts=1)
        async def early(job: JobContext) -> dict[str, int]:
            if job.attempt < 3:
                raise Snooze(0.1, "the shop is closed")
            return {"attempt": job.attempt, "attempts": job.attempts}

        job = await bench.app.jobs.enqueue("early")
        [ended] = await bench.run(job, seconds=1)
        assert (ended.result, ended.errors) == ({"attempt": 3, "attempts": 1}, ())
        reasons = [e.data["reason"] for e in await bench.app.history("job", job.id) if "reason" in e.data]
        assert reasons == ["the shop is closed"] * 2

    async def test_a_policy_without_retries_stays_one_and_so_does_the_last_attempt(self, bench: Bench) -> None:
        @bench.app.job(retry="none")
        async def busy() -> None:
            raise RetryAfter(0)

        [ended] = await bench.run(await bench.app.jobs.enqueue("busy"))
        assert (ended.status, ended.attempts, ended.dead_lettered) == (JobStatus.FAILED, 1, True)

    async def test_a_wait_that_is_none_is_refused_where_it_is_raised(self, bench: Bench) -> None:
        for seconds in (-1, float("nan"), float("inf")):
            for kind in (RetryAfter, Snooze):
                with pytest.raises(ValueError, match="seconds"):
                    kind(seconds)

    async def test_a_coroutine_that_is_short_of_time_cleans_up_and_may_still_succeed(self, bench: Bench) -> None:
        @bench.app.job(soft_timeout=0.1, timeout=DEADLINE)
        async def copy(job: JobContext) -> dict[str, Any]:
            try:
                async with asyncio.timeout(DEADLINE):
                    await asyncio.Event().wait()
            except SoftTimeout:
                await asyncio.sleep(0)
                return {"partly": True, "soft": job.soft_timed_out, "cancelled": job.cancelled}
            raise AssertionError

        [ended] = await bench.run(await bench.app.jobs.enqueue("copy"))
        assert ended.result == {"partly": True, "soft": True, "cancelled": False}

    async def test_a_soft_limit_that_nobody_catches_fails_the_attempt(self, bench: Bench) -> None:
        @bench.app.job(soft_timeout=0.1, max_attempts=1)
        async def slow() -> None:
            await asyncio.Event().wait()

        [ended] = await bench.run(await bench.app.jobs.enqueue("slow"))
        assert [error.type for error in ended.errors] == ["millrace.errors.SoftTimeout"]

    async def test_a_plain_function_sees_that_its_time_is_short(self, bench: Bench) -> None:
        @bench.app.job(soft_timeout=0.1, timeout=DEADLINE)
        def copy(job: JobContext) -> str:
            waiting = threading.Event()
            while not job.soft_timed_out:
                waiting.wait(0.01)
            return "partly"

        [ended] = await bench.run(await bench.app.jobs.enqueue("copy"))
        assert ended.result == "partly"

    async def test_a_soft_limit_lies_below_the_hard_one(self, bench: Bench) -> None:
        for soft in (0, 10, 11):
            with pytest.raises(ValueError, match="soft_timeout"):
                bench.app.job(soft_timeout=soft, timeout=10)

    async def test_a_canceled_handler_is_told_why_and_cleans_up(self, bench: Bench) -> None:
        started, cleaned = asyncio.Event(), asyncio.Event()
        told: list[Any] = []

        @bench.app.job
        async def endless(job: JobContext) -> None:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                told.extend([job.cancelled, job.stopped_by, job.cancel_reason])
                cleaned.set()

        job = await bench.app.jobs.enqueue("endless")
        async with working(bench.app), asyncio.timeout(DEADLINE):
            await started.wait()
            await bench.app.jobs.cancel(job.id, "not needed any more")
            await cleaned.wait()
        assert told == [True, "cancelled", "not needed any more"]
        assert (await seen(bench.app, job.id)).status is JobStatus.CANCELLED

    async def test_a_handler_that_is_out_of_time_is_told_so(self, bench: Bench) -> None:
        told: list[Any] = []

        @bench.app.job(timeout=0.1, max_attempts=1)
        async def slow(job: JobContext) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                told.extend([job.stopped_by, job.cancel_reason])

        [ended] = await bench.run(await bench.app.jobs.enqueue("slow"))
        assert (told, [error.type for error in ended.errors]) == (["timeout", None], ["Timeout"])

    async def test_an_error_may_carry_no_hope_whatever_the_function_says(self, bench: Bench) -> None:
        @bench.app.job(retry=lambda job, error: 0.1)
        async def broken() -> None:
            raise NonRetryable("never")

        [ended] = await bench.run(await bench.app.jobs.enqueue("broken"), seconds=1)
        assert (ended.attempts, ended.dead_lettered) == (1, True)

    async def test_the_function_may_say_that_there_is_no_other_attempt(self, bench: Bench) -> None:
        @bench.app.job(retry=lambda job, error: False if isinstance(error, ValueError) else 0.05)
        async def broken(job: JobContext) -> None:
            raise ConnectionError("gone") if job.attempt == 1 else ValueError("no such order")

        [ended] = await bench.run(await bench.app.jobs.enqueue("broken", max_attempts=5), seconds=1)
        assert (ended.attempts, ended.dead_lettered) == (2, True)
        assert [error.type for error in ended.errors] == ["ConnectionError", "ValueError"]


async def scheduled(bench: Bench, job_id: str) -> list[datetime]:
    """When the job's retries were due."""
    events = await bench.app.history("job", job_id)
    return [datetime.fromisoformat(e.data["run_at"]) for e in events if e.eventtype == "job.retry_scheduled"]
