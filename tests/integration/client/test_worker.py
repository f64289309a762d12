from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest

from millrace import Event, JobContext, JobFailed, Millrace, NonRetryable
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
        assert await app.jobs.result(first.id, timeout=5) == 42
        assert (await app.jobs.result(second.id, timeout=5)).startswith("millrace-")


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


async def test_an_error_is_reported_with_its_traceback_and_retried(
    app: Millrace, working: Working, service: WireService
) -> None:
    @app.job
    async def parse(text: str) -> None:
        int(text)

    async with working():
        job = await app.jobs.enqueue("parse", {"text": "x\x00"}, max_attempts=2)
        with pytest.raises(JobFailed, match="invalid literal"):
            await app.jobs.result(job.id, timeout=5)
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
            await app.jobs.result(job.id, timeout=5)
    [report] = service.job(job.id)["reports"]
    assert report["retryable"] is False


async def test_a_job_without_a_handler_is_left_to_other_workers_and_uses_no_attempt(
    app: Millrace, working: Working, service: WireService
) -> None:
    app.job("known")(print)
    async with working():
        job = await app.jobs.enqueue("unknown", max_attempts=1)
        await until(lambda: bool(service.job(job.id)["reports"]), 5)
    [report] = service.job(job.id)["reports"]
    assert (report["outcome"], report["delay"]) == ("returned", 5)
    assert "no handler for 'unknown'" in report["reason"]


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
            await app.jobs.result(job.id, timeout=5)
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
            await app.jobs.result(job.id, timeout=5)
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
        await asyncio.wait_for(started.wait(), 5)
        assert await app.jobs.cancel(job.id)
        await asyncio.wait_for(canceled.wait(), 5)
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
        await asyncio.wait_for(canceled.wait(), 3)
        assert service.job(job.id)["reports"] == []


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
            await app.jobs.result(job.id, timeout=5)


async def test_what_a_handler_sends_carries_its_cause(app: Millrace, working: Working, service: WireService) -> None:
    @app.job
    async def parent() -> str:
        return (await app.jobs.enqueue("child")).id

    @app.job
    def child() -> None: ...

    async with working():
        job = await parent.enqueue()
        await app.jobs.result(await app.jobs.result(job.id, timeout=5), timeout=5)
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
        results = [await app.jobs.result((await count.enqueue()).id, timeout=5) for _ in range(3)]
    assert results == [0, 0, 0]


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


async def test_a_subscription_delivers_each_event_and_sets_aside_what_fails(
    app: Millrace, working: Working, service: WireService
) -> None:
    handled: list[int] = []

    @app.on("order.#", name="orders", start="beginning", max_attempts=1)
    async def on_order(event: Event) -> None:
        if event.payload["n"] == 2:
            raise ValueError("not this one")
        handled.append(event["payload"]["n"])

    for n in range(1, 4):
        await app.publish("order.placed", {"n": n})
    async with working():
        await service.until(lambda each: each.subscriptions.get("orders", {}).get("position") == "e-3")
    assert handled == [1, 3]
    [parked] = service.subscriptions["orders"]["parked"]
    assert parked["error"] == "ValueError: not this one"


async def test_acknowledging_does_not_feed_a_subscription_to_everything(
    app: Millrace, working: Working, service: WireService
) -> None:
    seen: list[str] = []
    advanced = asyncio.Event()

    @app.on("#", name="all", start="beginning")
    def on_any(event: Event) -> None:
        seen.append(event.eventtype)
        if event.eventtype == "subscription.advanced":
            asyncio.run_coroutine_threadsafe(_set(advanced), loop)

    loop = asyncio.get_running_loop()
    await app.publish("order.placed", {})
    async with working():
        await asyncio.wait_for(advanced.wait(), 5)
    assert seen == ["order.placed", "subscription.advanced"]
    assert len(service.log) == 2


async def _set(event: asyncio.Event) -> None:
    event.set()


def _reports(service: WireService, job: Any) -> list[dict[str, Any]]:
    return list(service.job(job.id)["reports"])
