"""A worker runs jobs and reports how they ended."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest

from millrace import JobContext, JobFailed, Millrace, NonRetryable
from tests.integration.client.conftest import Working
from tests.support.running import until
from tests.support.wire_service import WireService


async def test_coroutines_and_plain_functions_run_and_their_results_come_back(app: Millrace, working: Working) -> None:
    @app.job
    async def double(n: int) -> int:
        return 2 * n

    @app.job
    def thread_name(job: JobContext) -> str:
        return threading.current_thread().name

    async with working():
        first, second = await double.enqueue(21), await thread_name.enqueue()
        assert await app.jobs.result(first.id, timeout=30) == 42
        assert (await app.jobs.result(second.id, timeout=30)).startswith("millrace-")


async def test_an_error_is_reported_with_its_traceback_and_retried(
    app: Millrace, working: Working, service: WireService
) -> None:
    @app.job
    async def parse(text: str) -> None:
        int(text)

    async with working():
        job = await app.jobs.enqueue("parse", {"text": "x\x00"}, max_attempts=2)
        with pytest.raises(JobFailed, match="invalid literal"):
            await app.jobs.result(job.id, timeout=30)
    first, second = service.job(job.id)["reports"]
    assert first["attempt"], second["attempt"] == (1, 2)
    assert first["error"]["type"] == "ValueError"
    assert "in parse" in first["error"]["traceback"]
    assert "worker_runner" not in first["error"]["traceback"]


@pytest.mark.parametrize("data", [{"how": "raise"}, {"how": "bytes"}, {"how": "large"}, {"how": "nan"}, {"wrong": 1}])
async def test_what_cannot_get_better_is_not_retried(
    app: Millrace, working: Working, service: WireService, data: dict[str, Any]
) -> None:
    @app.job
    async def work(how: str) -> Any:
        if how == "raise":
            raise NonRetryable("no such file")
        return {"bytes": b"\xff", "large": "x" * 1_000_000, "nan": float("nan")}[how]

    async with working():
        job = await app.jobs.enqueue("work", data)
        with pytest.raises(JobFailed):
            await app.jobs.result(job.id, timeout=30)
    [report] = service.job(job.id)["reports"]
    assert report["retryable"] is False


async def test_a_job_without_a_handler_is_left_to_other_workers_and_uses_no_attempt(
    app: Millrace, working: Working, service: WireService
) -> None:
    app.job("known")(print)
    async with working():
        job = await app.jobs.enqueue("unknown", max_attempts=1)
        await until(lambda: bool(service.job(job.id)["reports"]), 20)
    [report] = service.job(job.id)["reports"]
    assert (report["outcome"], report["delay"]) == ("returned", 5)
    assert "no handler for 'unknown'" in report["reason"]


async def test_outcomes_whose_answer_is_lost_are_sent_again_and_counted_once(
    app: Millrace, working: Working, service: WireService
) -> None:
    service.swallow["job.report"] = 2
    service.overloaded["job.report"] = 1

    @app.job
    async def nothing() -> None: ...

    async with working():
        job = await nothing.enqueue()
        await service.until(lambda each: each.messages["job.report"] >= 4)
    assert len(service.job(job.id)["reports"]) == 1


async def test_a_cancellation_that_comes_out_of_a_handler_is_a_failure(
    app: Millrace, working: Working, service: WireService
) -> None:
    @app.job
    async def connect() -> None:
        raise asyncio.CancelledError("connection lost")

    async with working():
        job = await app.jobs.enqueue("connect", max_attempts=1)
        with pytest.raises(JobFailed, match="connection lost"):
            await app.jobs.result(job.id, timeout=30)


async def test_what_a_handler_sends_carries_its_cause(app: Millrace, working: Working, service: WireService) -> None:
    @app.job
    async def parent() -> str:
        return (await app.jobs.enqueue("child")).id

    @app.job
    def child() -> None: ...

    async with working():
        job = await parent.enqueue()
        await app.jobs.result(await app.jobs.result(job.id, timeout=5), timeout=30)
    sent = [headers for name, headers in service.headers if name == "job.enqueue"]
    assert "x-correlation-id" not in sent[0]
    assert sent[1]["x-causation-id"] == job.id
    assert sent[1]["x-correlation-id"] == service.job(job.id)["correlation_id"]
    assert not any("x-causation-id" in headers for name, headers in service.headers if name != "job.enqueue")


async def test_context_variables_of_one_handler_are_not_seen_by_the_next(app: Millrace, working: Working) -> None:
    seen: contextvars.ContextVar[int] = contextvars.ContextVar("seen", default=0)

    @app.job
    async def count() -> int:
        before = seen.get()
        seen.set(before + 1)
        return before

    async with working(concurrency=1):
        results = [await app.jobs.result((await count.enqueue()).id, timeout=30) for _ in range(3)]
    assert results == [0, 0, 0]
