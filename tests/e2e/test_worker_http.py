"""The client and the worker against the real service over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from millrace import Event, JobContext, JobFailed, JobStatus, Millrace, NonRetryable, NotFound, Worker
from millrace.ids import uuid7
from tests.support.service import running_service


@pytest.fixture
async def service_url(database_url: str) -> AsyncIterator[str]:
    async with running_service(database_url) as service:
        yield service.http


@pytest.fixture
async def app(service_url: str) -> AsyncIterator[Millrace]:
    # A tenant of its own: the database is shared, and what one test leaves behind the next one must not claim.
    async with Millrace(service_url, tenant=f"t-{uuid7()}") as app:
        yield app


@asynccontextmanager
async def working(app: Millrace, **options: Any) -> AsyncIterator[Worker]:
    worker = Worker(app, **options)
    task = asyncio.create_task(worker.run(signals=False))
    await worker.started.wait()
    try:
        yield worker
    finally:
        worker.stop()
        await task


async def test_a_job_runs_and_its_result_comes_back(app: Millrace) -> None:
    @app.job
    async def double(job: JobContext, n: int) -> dict[str, int]:
        return {"twice": 2 * n, "attempt": job.attempt}

    async with working(app):
        job = await double.enqueue(21)
        assert await app.jobs.result(job.id, timeout=20) == {"twice": 42, "attempt": 1}
    done = await app.jobs.get_job(job.id)
    assert done is not None
    assert (done.status, done.attempts) == (JobStatus.COMPLETED, 1)


async def test_two_thousand_jobs_end_exactly_once(app: Millrace) -> None:
    ran: list[int] = []

    @app.job
    async def count(n: int) -> int:
        ran.append(n)
        return n

    jobs = await app.jobs.enqueue_many({"name": "count", "data": {"n": n}} for n in range(2_000))
    async with working(app, concurrency=100):
        results = await asyncio.gather(*(app.jobs.result(job.id, timeout=60) for job in jobs))
    assert results == list(range(2_000))
    assert sorted(ran) == list(range(2_000))


async def test_a_failing_job_uses_its_attempts_and_joins_the_dead_letters(app: Millrace) -> None:
    @app.job
    def parse(text: str) -> int:
        return int(text)

    async with working(app):
        job = await app.jobs.enqueue("parse", {"text": "x"}, max_attempts=2, retry={"kind": "fixed", "delay": 0.1})
        with pytest.raises(JobFailed, match="invalid literal") as caught:
            await app.jobs.result(job.id, timeout=20)
    assert (caught.value.job.attempts, caught.value.job.dead_lettered) == (2, True)
    assert [each.type for each in caught.value.job.errors] == ["ValueError", "ValueError"]
    assert [each.id for each in await app.jobs.dead_letters()] == [job.id]


async def test_an_error_that_is_not_retryable_uses_one_attempt(app: Millrace) -> None:
    @app.job
    async def refuse() -> None:
        raise NonRetryable("no such file")

    async with working(app):
        job = await refuse.enqueue()
        with pytest.raises(JobFailed) as caught:
            await app.jobs.result(job.id, timeout=20)
    assert caught.value.job.attempts == 1


async def test_canceling_reaches_a_running_handler(app: Millrace) -> None:
    started, canceled = asyncio.Event(), asyncio.Event()

    @app.job
    async def endless() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            canceled.set()

    async with working(app):
        job = await endless.enqueue()
        await asyncio.wait_for(started.wait(), 20)
        assert await app.jobs.cancel_job(job.id)
        # At the first renewal, which comes a second after the start, or at the latest with the next one.
        await asyncio.wait_for(canceled.wait(), 30)
    assert await app.jobs.get_status(job.id) is JobStatus.CANCELLED


async def test_a_job_that_a_stopping_worker_hands_back_keeps_its_attempts(app: Millrace) -> None:
    started = asyncio.Event()

    @app.job
    async def work() -> None:
        started.set()
        await asyncio.Event().wait()

    job = await app.jobs.enqueue("work", max_attempts=1)
    async with working(app, grace=0.1):
        await asyncio.wait_for(started.wait(), 20)
    returned = await app.jobs.get(job.id)
    assert returned is not None
    assert (returned.status, returned.attempts) == (JobStatus.PENDING, 0)


async def test_a_job_of_another_tenant_cannot_be_told_from_a_missing_one(app: Millrace, service_url: str) -> None:
    job = await app.jobs.enqueue("secret")
    async with Millrace(service_url, tenant=f"t-{uuid7()}") as other:
        assert await other.jobs.get(job.id) is None
        with pytest.raises(NotFound):
            await other.jobs.cancel(job.id)


async def test_a_subscription_delivers_an_applications_own_events(app: Millrace) -> None:
    handled: asyncio.Queue[Any] = asyncio.Queue()

    @app.on("order.#", name="orders", start="beginning")
    async def on_order(event: Event) -> None:
        handled.put_nowait(event.payload["n"])

    for n in range(3):
        await app.publish("order.placed", {"n": n})
    async with working(app):
        async with asyncio.timeout(60):
            assert [await handled.get() for _ in range(3)] == [0, 1, 2]


async def test_the_log_tells_what_a_jobs_handler_caused(app: Millrace) -> None:
    @app.job
    async def parent() -> str:
        return (await app.jobs.enqueue("child")).id

    @app.job
    async def child() -> None: ...

    async with working(app):
        job = await parent.enqueue()
        child_id = await app.jobs.result(job.id, timeout=20)
        await app.jobs.result(child_id, timeout=20)
    [first, *_] = await app.history("job", child_id)
    [origin, *_] = await app.history("job", job.id)
    assert first.correlationid == origin.correlationid
    assert first.causationid == job.id


class Escaping(BaseException):
    """What no `except Exception` catches."""


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize("escaped", [Escaping, KeyboardInterrupt, GeneratorExit, Unprintable])
async def test_whatever_escapes_a_handler_fails_its_attempt_and_frees_its_slot(
    app: Millrace, escaped: type[BaseException]
) -> None:
    @app.job
    async def escape() -> None:
        raise escaped

    @app.job
    async def after() -> str:
        return "still here"

    async with working(app, concurrency=1):
        job = await app.jobs.enqueue("escape", max_attempts=1)
        with pytest.raises(JobFailed):
            await app.jobs.result(job.id, timeout=20)
        follower = await app.jobs.enqueue("after")
        assert await app.jobs.result(follower.id, timeout=20) == "still here"
    failed = await app.jobs.get(job.id)
    assert failed is not None
    assert failed.error_detail is not None
    assert failed.error_detail.type.endswith(escaped.__name__)


@pytest.mark.parametrize("outcome", [{"a\x00": 1}, 10**5_000, [[]]], ids=["NUL", "a huge number", "deep"])
async def test_a_result_that_cannot_be_stored_ends_the_job_with_that_reason(app: Millrace, outcome: Any) -> None:
    ran: list[int] = []

    @app.job
    async def produce(job: JobContext) -> Any:
        ran.append(job.attempt)
        value = outcome
        for _ in range(150 if outcome == [[]] else 0):
            value = [value]
        return value

    async with working(app):
        job = await app.jobs.enqueue("produce", max_attempts=3)
        with pytest.raises(JobFailed):
            await app.jobs.result(job.id, timeout=20)
    failed = await app.jobs.get(job.id)
    assert failed is not None
    assert failed.error_detail is not None
    assert failed.error_detail.type.endswith("ResultRefused")
    assert ran == [1]
