from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from millrace import (
    Invalid,
    JobStatus,
    LogReset,
    Millrace,
    NotFound,
    OutcomeUnknown,
    PartlyRefused,
    Unavailable,
)
from tests.support.wire_service import WireService


async def test_an_enqueued_job_is_returned_as_it_was_accepted(app: Millrace, service: WireService) -> None:
    job = await app.jobs.enqueue("transcribe", {"file_id": "42"}, priority=5)
    assert (job.name, job.data, job.priority, job.status) == ("transcribe", {"file_id": "42"}, 5, JobStatus.PENDING)
    assert await app.jobs.get(job.id) == job.model_copy(update={"max_attempts": 3})
    assert await app.jobs.get_status(job.id) is JobStatus.PENDING


async def test_ten_thousand_jobs_are_enqueued_in_few_messages(app: Millrace, service: WireService) -> None:
    jobs = await app.jobs.enqueue_many({"name": "send", "data": {"n": n}} for n in range(10_000))
    assert [job.data["n"] for job in jobs] == list(range(10_000))
    assert service.messages["job.enqueue"] <= 40


async def test_concurrent_callers_share_messages(app: Millrace, service: WireService) -> None:
    jobs = await asyncio.gather(*(app.jobs.enqueue("send", {"n": n}) for n in range(300)))
    assert [job.data["n"] for job in jobs] == list(range(300))
    assert service.messages["job.enqueue"] <= 4


async def test_a_lost_answer_is_asked_for_again_and_nothing_is_done_twice(app: Millrace, service: WireService) -> None:
    service.swallow["job.enqueue"] = 2
    job = await app.jobs.enqueue("send", {})
    assert list(service.jobs) == [job.id]
    assert service.messages["job.enqueue"] == 3


async def test_an_overloaded_service_is_asked_again(app: Millrace, service: WireService) -> None:
    service.overloaded["job.enqueue"] = 2
    await app.jobs.enqueue("send", {})
    assert len(service.jobs) == 1


async def test_an_outcome_that_stays_open_is_said_to_be_unknown(app: Millrace, service: WireService) -> None:
    service.swallow["job.enqueue"] = 1_000
    async with Millrace(app.settings.url, timeout=0.5) as hasty:
        with pytest.raises(OutcomeUnknown):
            await hasty.jobs.enqueue("send", {})


async def test_an_address_where_nobody_listens_is_unavailable_within_the_timeout() -> None:
    async with Millrace("http://127.0.0.1:9", timeout=0.5) as app:
        with pytest.raises(Unavailable):
            await app.jobs.enqueue("send", {})


async def test_the_same_message_id_gives_the_same_job(app: Millrace, service: WireService) -> None:
    first = await app.jobs.enqueue("send", {"to": "x"}, message_id="order-7")
    second = await app.jobs.enqueue("send", {"to": "x"}, message_id="order-7")
    assert first == second
    assert len(service.jobs) == 1


async def test_refusals_are_errors_of_their_class(app: Millrace, service: WireService) -> None:
    with pytest.raises(Invalid):
        await app.jobs.enqueue("send", {}, priority=1_000)
    with pytest.raises(NotFound):
        await app.jobs.cancel("no-such-job")
    with pytest.raises(LogReset):
        await anext(app.events(after="e-1000"))


async def test_one_bad_item_of_many_leaves_the_others_accepted(app: Millrace, service: WireService) -> None:
    items = [{"name": "send", "data": {"n": 0}}, {"name": "send", "priority": 1_000}, {"name": "send"}]
    with pytest.raises(PartlyRefused) as caught:
        await app.jobs.enqueue_many(items)
    first, second, third = caught.value.outcomes
    assert isinstance(second, Invalid)
    assert set(service.jobs) == {getattr(first, "id", None), getattr(third, "id", None)}


async def test_data_that_is_not_json_is_refused_before_it_is_sent(app: Millrace, service: WireService) -> None:
    with pytest.raises(ValueError):
        await app.jobs.enqueue("send", {"ratio": float("nan")})
    with pytest.raises(ValueError, match="time zone"):
        await app.jobs.enqueue("send", run_at=datetime(2026, 1, 15))
    assert not service.messages


async def test_jobs_are_listed_page_by_page(app: Millrace, service: WireService) -> None:
    await app.jobs.enqueue_many({"name": "send", "data": {"n": n}} for n in range(7))
    assert [job.data["n"] for job in await app.jobs.list(limit=3)] == [6, 5, 4]
    assert [job.data["n"] async for job in app.jobs.iterate(limit=3)] == [6, 5, 4, 3, 2, 1, 0]
    assert (await app.jobs.get_stats()).pending == 7


async def test_events_follow_the_log_from_any_place(app: Millrace, service: WireService) -> None:
    await app.publish("order.placed", {"n": 1})
    await app.publish("order.placed", {"n": 2})
    stream = app.events("order.#", after="beginning")
    first = await anext(stream)
    resumed = app.events("order.#", after=stream.position)
    assert (first.payload["n"], (await anext(resumed))["payload"]["n"]) == (1, 2)


async def test_a_stream_from_the_head_has_what_is_recorded_after_it_was_pinned(
    app: Millrace, service: WireService
) -> None:
    await app.publish("order.placed", {"n": 1})
    stream = app.events("order.#")
    await stream.pin()
    await app.publish("order.placed", {"n": 2})
    assert (await anext(stream)).payload == {"n": 2}


async def test_a_decorated_function_runs_when_called_and_enqueues_with_its_options(
    app: Millrace, service: WireService
) -> None:
    @app.job(queue="media", max_attempts=7, retry="fixed")
    async def transcribe(job: object, file_id: str) -> str:
        return file_id

    assert await transcribe(None, "42") == "42"
    job = await transcribe.options(priority=3).enqueue("42")
    assert (job.name, job.queue, job.max_attempts, job.priority) == ("transcribe", "media", 7, 3)
    assert (await app.jobs.enqueue("transcribe", {"file_id": "43"})).queue == "media"
    with pytest.raises(ValueError, match="transcribe"):
        app.job("transcribe")(lambda: None)


async def test_the_blocking_twin_has_the_same_methods(app: Millrace, service: WireService) -> None:
    def synchronously() -> tuple[object, object, object]:
        with app.sync() as blocking:
            job = blocking.jobs.enqueue("send", {"to": "x"})
            blocking.publish("order.placed", {"n": 1})

            @blocking.job
            def send(to: str) -> str:
                return to

            other = send.enqueue(to="y")
            event = next(blocking.events("order.#", after="beginning"))
            jobs = [each.id for each in blocking.jobs.iterate(limit=1)]
            assert send("z") == "z"
            return jobs == [other.id, job.id], blocking.jobs.get(job.id).status, event.payload

    assert await asyncio.to_thread(synchronously) == (True, JobStatus.PENDING, {"n": 1})


async def test_waiting_for_many_results_reads_the_log_once(app: Millrace, service: WireService) -> None:
    jobs = await app.jobs.enqueue_many({"name": "send"} for _ in range(3))
    waiting = [asyncio.create_task(app.jobs.result(job.id, timeout=30)) for job in jobs]
    claimed = await app.execute("job.claim", {"worker": "w", "slots": 3})
    for number, grant in enumerate(claimed.result["grants"]):
        report = {"job_id": grant["job_id"], "attempt": 1, "outcome": "completed", "result": number}
        await app.execute("job.report", report)
    assert await asyncio.gather(*waiting) == [0, 1, 2]
    assert await app.jobs.result(jobs[1].id) == 1
    with pytest.raises(TimeoutError):
        await app.jobs.result((await app.jobs.enqueue("send")).id, timeout=0.1)
    now = datetime.now(UTC)
    assert all(job.created_at <= now for job in jobs)
