"""Handlers in processes: results, errors, logs and checkpoints come over, and a process can be killed."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from decimal import Decimal
from textwrap import dedent

import pytest

from millrace import Job, JobContext
from millrace.testing import MillraceTest, in_memory
from tests.support.process_jobs import app, endless, goes_on, half, raises, square


@pytest.fixture
async def test() -> AsyncIterator[MillraceTest]:
    async with in_memory(app) as test:
        yield test


async def ended(test: MillraceTest, job: Job, seconds: float = 0.0) -> Job:
    await test.run_jobs(advance=seconds)
    seen = await test.jobs.get(job.id)
    assert seen is not None
    return seen


async def test_a_process_runs_one_job_after_another(test: MillraceTest) -> None:
    jobs = [await square.enqueue(n) for n in (2, 3)]
    await test.run_jobs()
    results = [(await ended(test, job)).result for job in jobs]
    assert [result["square"] for result in results] == [4, 9]
    assert len({result["process"] for result in results} | {os.getpid()}) == 2


async def test_arguments_and_results_keep_their_types_where_a_serializer_does(test: MillraceTest) -> None:
    job = await ended(test, await half.enqueue(Decimal(3)))
    assert (job.status, job.result) == ("completed", {Decimal("1.5"): (Decimal(3),)})
    job = await ended(test, await half.enqueue(Decimal(3), broken=True))
    assert (job.status, job.attempts) == ("failed", 1)
    assert "result.1.5: object is not among the serializer's types" in (job.error or "")


async def test_a_killed_process_is_a_failed_attempt_and_the_next_goes_on_from_its_checkpoint(
    test: MillraceTest,
) -> None:
    job = await ended(test, await goes_on.enqueue(), seconds=1)
    assert (job.result, job.attempts) == ({"page": 4}, 2)
    assert [(error.type, error.message) for error in job.errors] == [
        ("millrace.errors.ProcessEnded", "the handler's process ended with exit code -9")
    ]
    assert [(line.level, line.message, line.fields) for line in (await test.jobs.logs(job.id, 1)).lines] == [
        ("warning", "begun", {"n": 1})
    ]


@pytest.mark.parametrize(
    ("how", "kind", "message"),
    [
        ("plain", "KeyError", "page"),
        ("odd", "millrace.errors.ProcessFailed", "Odd: 1 is not 2"),
        ("never", "millrace.errors.NonRetryable", "no hope"),
        ("later", "millrace.errors.RetryAfter", "busy"),
        ("object", "millrace.errors.ResultRefused", "JSON"),
    ],
)
async def test_what_a_handler_raises_comes_over(test: MillraceTest, how: str, kind: str, message: str) -> None:
    job = await ended(test, await raises.enqueue(how))
    [error] = job.errors
    assert (error.type, message in error.message) == (kind, True)
    assert "process_jobs.py" in (error.traceback or "") or how == "object"


async def test_data_that_does_not_fit_is_found_in_the_process(test: MillraceTest) -> None:
    job = await ended(test, await test.jobs.enqueue("square", {"n": "many"}))
    assert (job.dead_lettered, "n: Input should be a valid integer" in (job.error or "")) == (True, True)


async def test_a_handler_that_takes_too_long_is_killed(test: MillraceTest) -> None:
    job = await ended(test, await endless.enqueue())
    assert [error.type for error in job.errors] == ["Timeout"]


def test_what_cannot_run_in_a_process_is_refused_where_it_is_declared() -> None:
    def nested() -> None: ...

    async def coroutine() -> None: ...

    with pytest.raises(TypeError, match="top of a module"):
        app.job(pool="process")(nested)
    with pytest.raises(TypeError, match="async def"):
        app.job(pool="process")(coroutine)
    with pytest.raises(ValueError, match="soft_timeout"):
        app.job("soft", pool="process", soft_timeout=1)(dedent)


def test_a_context_is_the_same_after_its_way_into_a_process() -> None:
    grant = {
        "job_id": "7", "name": "n", "data": {"a": 1}, "queue": "q", "priority": 2, "attempt": 3, "attempts": 2,
        "max_attempts": 5, "timeout": 6.5, "created_at": "2026-02-03T04:05:06Z", "correlation_id": "c",
        "traceparent": None, "checkpoint": [1],
        "parents": [],
    }  # fmt: skip
    assert JobContext(JobContext(grant).grant()).grant() == grant
