"""What ends a running attempt: its timeout, a cancellation, a lost lease, the worker's own end."""

from __future__ import annotations

import asyncio
import threading

import pytest

from millrace import JobContext, JobFailed, Millrace
from tests.integration.client.conftest import Working
from tests.support.running import until
from tests.support.wire_service import WireService


async def test_a_coroutine_that_takes_too_long_is_canceled_and_recorded_as_timeout(
    app: Millrace, working: Working, service: WireService
) -> None:
    canceled = asyncio.Event()

    @app.job
    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            canceled.set()

    async with working():
        job = await app.jobs.enqueue("endless", timeout=0.05, max_attempts=1)
        with pytest.raises(JobFailed, match=r"0\.05 s"):
            await app.jobs.result(job.id, timeout=30)
    assert canceled.is_set()
    assert service.job(job.id)["reports"][0]["error"]["type"] == "Timeout"


async def test_a_thread_is_asked_to_end_and_keeps_its_slot_until_it_does(
    app: Millrace, working: Working, service: WireService
) -> None:
    asked = threading.Event()

    @app.job
    def patient(job: JobContext) -> None:
        while not job.cancelled:
            threading.Event().wait(0.005)
        asked.set()

    async with working(concurrency=1):
        job = await app.jobs.enqueue("patient", timeout=0.05, max_attempts=1)
        with pytest.raises(JobFailed):
            await app.jobs.result(job.id, timeout=30)
    assert asked.is_set()
    assert service.job(job.id)["reports"][0]["error"]["type"] == "Timeout"


async def test_canceling_a_running_job_stops_its_handler_at_the_next_renewal(
    app: Millrace, working: Working, service: WireService
) -> None:
    started, canceled = asyncio.Event(), asyncio.Event()

    @app.job
    async def endless() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            canceled.set()

    async with working():
        job = await endless.enqueue()
        await asyncio.wait_for(started.wait(), 30)
        assert await app.jobs.cancel(job.id)
        await asyncio.wait_for(canceled.wait(), 30)
    assert service.job(job.id)["reports"] == []


async def test_one_message_renews_all_attempts(app: Millrace, working: Working, service: WireService) -> None:
    gate = asyncio.Event()

    @app.job
    async def work() -> None:
        await gate.wait()

    jobs = await app.jobs.enqueue_many([{"name": "work"}] * 20)
    async with working(concurrency=20):
        await until(lambda: any(len(named) == len(jobs) for named in service.renewals), 90)
        gate.set()
        await asyncio.gather(*(app.jobs.result(job.id, timeout=90) for job in jobs))
    assert {job.id for job in jobs} in [set(named) for named in service.renewals]


async def test_an_attempt_whose_lease_cannot_be_renewed_is_stopped_in_time(
    app: Millrace, working: Working, service: WireService
) -> None:
    service.refuse_renewals, service.unconfirmed = True, 1.0
    canceled = asyncio.Event()

    @app.job
    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            canceled.set()

    async with working():
        job = await endless.enqueue()
        await asyncio.wait_for(canceled.wait(), 30)
        assert service.job(job.id)["reports"] == []


async def test_a_worker_that_stops_lets_running_handlers_finish(
    app: Millrace, working: Working, service: WireService
) -> None:
    started, proceed = asyncio.Event(), asyncio.Event()

    @app.job
    async def work() -> str:
        started.set()
        await proceed.wait()
        return "done"

    async with working(grace=5) as worker:
        job = await work.enqueue()
        await started.wait()
        worker.stop()
        proceed.set()
    assert service.job(job.id)["status"] == "completed"


async def test_what_does_not_finish_in_the_grace_is_handed_back(
    app: Millrace, working: Working, service: WireService
) -> None:
    started = asyncio.Event()

    @app.job
    async def endless() -> None:
        started.set()
        await asyncio.Event().wait()

    async with working(grace=0.05):
        job = await endless.enqueue()
        await started.wait()
    [report] = service.job(job.id)["reports"]
    assert report["outcome"] == "returned"
    assert service.job(job.id)["attempts"] == 0
