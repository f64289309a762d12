"""How many jobs a worker asks for, and what it gives back."""

from __future__ import annotations

import asyncio
from typing import Any

from millrace import Millrace
from tests.integration.client.conftest import Working
from tests.support.running import until
from tests.support.wire_service import WireService


async def test_a_worker_never_runs_more_at_once_than_it_may(app: Millrace, working: Working) -> None:
    running, most = 0, 0

    @app.job
    async def work(n: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        return n

    jobs = await app.jobs.enqueue_many({"name": "work", "data": {"n": n}} for n in range(200))
    async with working(concurrency=8):
        results = await asyncio.gather(*(app.jobs.result(job.id, timeout=90) for job in jobs))
    assert results == list(range(200))
    assert most <= 8


async def test_what_was_claimed_ahead_of_a_long_handler_is_given_back_for_others(
    app: Millrace, working: Working, service: WireService
) -> None:
    gate = asyncio.Event()

    @app.job
    async def work(n: int) -> None:
        # Short enough to be claimed ahead, until one is not.
        if n == 1_000:
            await gate.wait()

    async with working(concurrency=1):
        short = await app.jobs.enqueue_many({"name": "work", "data": {"n": n}} for n in range(200))
        await asyncio.gather(*(app.jobs.result(job.id, timeout=90) for job in short))
        long, *behind = await app.jobs.enqueue_many({"name": "work", "data": {"n": 1_000 + n}} for n in range(4))
        await until(
            lambda: any(report["outcome"] == "returned" for job in behind for report in _reports(service, job)), 20
        )
        assert not _reports(service, long)
        gate.set()
        await asyncio.gather(*(app.jobs.result(job.id, timeout=90) for job in (long, *behind)))


async def test_what_was_claimed_ahead_and_canceled_does_not_run(
    app: Millrace, working: Working, service: WireService
) -> None:
    gate, ran = asyncio.Event(), []

    @app.job
    async def work(n: int) -> None:
        ran.append(n)
        if n == 1_000:
            await gate.wait()

    async with working(concurrency=1):
        short = await app.jobs.enqueue_many({"name": "work", "data": {"n": n}} for n in range(200))
        await asyncio.gather(*(app.jobs.result(job.id, timeout=90) for job in short))
        long, behind = await app.jobs.enqueue_many({"name": "work", "data": {"n": 1_000 + n}} for n in range(2))
        await app.jobs.cancel(behind.id)
        renewals = service.messages["job.renew"]
        await until(lambda: service.messages["job.renew"] > renewals, 90)
        gate.set()
        await app.jobs.result(long.id, timeout=90)
        last = await app.jobs.enqueue("work", {"n": 2_000})
        await app.jobs.result(last.id, timeout=90)
    assert 1_001 not in ran


async def test_claims_and_reports_are_few_against_many_jobs(
    app: Millrace, working: Working, service: WireService
) -> None:
    @app.job
    async def nothing() -> None: ...

    await app.jobs.enqueue_many({"name": "nothing"} for _ in range(2_000))
    async with working(concurrency=100):
        await service.until(lambda each: all(job["status"] == "completed" for job in each.jobs.values()))
    assert service.messages["job.claim"] < 100
    assert service.messages["job.report"] < 200


def _reports(service: WireService, job: Any) -> list[dict[str, Any]]:
    return list(service.job(job.id)["reports"])
