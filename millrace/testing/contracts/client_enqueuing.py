"""Enqueuing: what is accepted, what is refused, and what a repeat is told."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from millrace import IdempotencyMismatch, Invalid, JobStatus, PartlyRefused, Retry, TooLarge
from millrace.errors import UnknownMessage
from millrace.testing.contracts.bench import Bench, head, seen


class EnqueuingContract:
    async def test_a_job_has_the_documented_defaults(self, bench: Bench) -> None:
        accepted = await bench.app.jobs.enqueue("send", {"to": "a"})
        job = await seen(bench.app, accepted.id)
        assert (job.name, job.data, job.payload, job.status) == ("send", {"to": "a"}, {"to": "a"}, JobStatus.PENDING)
        assert (job.priority, job.queue, job.attempts, job.max_attempts, job.timeout) == (0, "default", 0, 3, 300.0)
        assert (job.result, job.error, job.errors, job.dead_lettered, job.run_at) == (None, None, (), False, None)
        assert abs(job.created_at - bench.now()) < timedelta(seconds=60)
        assert accepted.created_at == job.created_at

    async def test_many_jobs_are_accepted_in_one_call_and_in_order(self, bench: Bench) -> None:
        jobs = await bench.app.jobs.enqueue_many([{"name": "n", "data": {"i": i}} for i in range(600)])
        assert [job.data["i"] for job in jobs] == list(range(600))
        assert len({job.id for job in jobs}) == 600
        page = await bench.app.jobs.page(limit=600, min_position=await head(bench.app))
        # Several messages may be on their way at once, so that only the answers are in order.
        assert sorted(job.data["i"] for job in page.jobs) == list(range(600))

    async def test_data_and_payload_mean_the_same(self, bench: Bench) -> None:
        job = await bench.app.jobs.enqueue("n", payload={"a": 1})
        assert (await seen(bench.app, job.id)).data == {"a": 1}

    async def test_data_and_payload_at_once_are_refused(self, bench: Bench) -> None:
        with pytest.raises(ValueError, match="payload"):
            await bench.app.jobs.enqueue("n", {}, payload={})
        with pytest.raises(Invalid, match="payload"):
            await bench.app.execute("job.enqueue", {"name": "n", "data": {}, "payload": {}})

    async def test_every_json_value_comes_back_as_it_was(self, bench: Bench) -> None:
        data = {
            "text": 'Ünïcode \U0001f600 "quotes"',
            "n": [1, -2.5, 1e-7, 2**53],
            "nested": {"null": None, "t": True},
        }
        job = await bench.app.jobs.enqueue("n", data)
        assert (await seen(bench.app, job.id)).data == data

    async def test_one_message_id_means_one_job(self, bench: Bench) -> None:
        jobs = [await bench.app.jobs.enqueue("n", {"a": 1}, message_id="order-1") for _ in range(2)]
        jobs += await asyncio.gather(*(bench.app.jobs.enqueue("n", {"a": 1}, message_id="order-1") for _ in range(5)))
        assert len({(job.id, job.created_at) for job in jobs}) == 1
        page = await bench.app.jobs.page(min_position=await head(bench.app))
        assert [job.id for job in page.jobs] == [jobs[0].id]

    async def test_a_message_id_with_another_body_is_refused(self, bench: Bench) -> None:
        await bench.app.jobs.enqueue("n", {"a": 1}, message_id="order-2")
        with pytest.raises(IdempotencyMismatch):
            await bench.app.jobs.enqueue("n", {"a": 2}, message_id="order-2")

    async def test_a_message_id_belongs_to_one_tenant(self, bench: Bench) -> None:
        job = await bench.app.jobs.enqueue("n", message_id="order-3")
        async with bench.other(f"{bench.app.settings.tenant}-b") as other:
            theirs = await other.jobs.enqueue("n", message_id="order-3")
            assert theirs.id != job.id
            assert await other.jobs.get(job.id) is None
            assert await other.jobs.list(min_position=await head(other)) == [await seen(other, theirs.id)]

    async def test_a_delay_makes_the_job_wait(self, bench: Bench) -> None:
        job = await bench.app.jobs.enqueue("n", delay=3600)
        assert job.status is JobStatus.DELAYED
        run_at = (await seen(bench.app, job.id)).run_at
        assert run_at is not None
        assert abs(run_at - bench.now() - timedelta(hours=1)) < timedelta(seconds=60)

    async def test_a_time_that_has_come_is_no_delay(self, bench: Bench) -> None:
        past = await bench.app.jobs.enqueue("n", run_at=bench.now() - timedelta(minutes=1))
        future = await bench.app.jobs.schedule("n", {}, bench.now() + timedelta(hours=1))
        assert (past.status, future.status) == (JobStatus.PENDING, JobStatus.DELAYED)

    async def test_a_delay_and_a_time_at_once_are_refused(self, bench: Bench) -> None:
        with pytest.raises(Invalid, match="run_at"):
            await bench.app.jobs.enqueue("n", delay=1, run_at=bench.now())

    async def test_options_of_the_decorator_hold_unless_others_are_given(self, bench: Bench) -> None:
        @bench.app.job(queue="mail", priority=7, max_attempts=5, timeout=20, retry=Retry(kind="fixed"))
        async def send(to: str) -> None: ...

        job = await seen(bench.app, (await send.enqueue("a")).id)
        urgent = await seen(bench.app, (await send.options(priority=9).enqueue("a")).id)
        assert (job.queue, job.priority, job.max_attempts, job.timeout) == ("mail", 7, 5, 20.0)
        assert (urgent.queue, urgent.priority, urgent.data) == ("mail", 9, {"to": "a"})

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("name", ""),
            ("name", "with space"),
            ("name", 7),
            ("data", []),
            ("data", "text"),
            ("data", {"nul": "\x00"}),
            ("queue", ""),
            ("priority", 101),
            ("priority", "high"),
            ("delay", -1),
            ("max_attempts", 0),
            ("timeout", 0),
            ("run_at", "tomorrow"),
            ("run_at", "2030-01-01T00:00:00"),
            ("retry", {"kind": "sometimes"}),
            ("unknown", 1),
        ],
    )
    async def test_a_value_that_does_not_fit_is_refused(self, bench: Bench, field: str, value: Any) -> None:
        with pytest.raises(Invalid) as refused:
            await bench.app.execute("job.enqueue", {"name": "n", field: value})
        assert refused.value.code == "invalid"
        assert refused.value.problem.status == 422
        if value != {"nul": "\x00"}:
            assert any(field in error["loc"] for error in refused.value.errors)

    async def test_data_that_is_nested_too_deeply_is_refused(self, bench: Bench) -> None:
        deep: dict[str, Any] = {}
        for _ in range(120):
            deep = {"deeper": deep}
        with pytest.raises(Invalid):
            await bench.app.jobs.enqueue("n", deep)

    async def test_a_message_that_is_too_large_is_refused(self, bench: Bench) -> None:
        with pytest.raises(TooLarge):
            await bench.app.jobs.enqueue("n", {"text": "x" * 1_100_000})

    async def test_one_bad_item_harms_no_other(self, bench: Bench) -> None:
        items = [{"name": "n", "data": {"i": i}, "priority": 999 if i == 3 else 0} for i in range(6)]
        with pytest.raises(PartlyRefused) as partly:
            await bench.app.jobs.enqueue_many(items)
        outcomes = partly.value.outcomes
        assert [isinstance(outcome, Invalid) for outcome in outcomes] == [i == 3 for i in range(6)]
        page = await bench.app.jobs.page(min_position=await head(bench.app))
        assert sorted(job.data["i"] for job in page.jobs) == [0, 1, 2, 4, 5]

    async def test_commands_and_queries_that_do_not_exist_are_refused(self, bench: Bench) -> None:
        with pytest.raises(UnknownMessage) as command:
            await bench.app.execute("job.explode", {})
        with pytest.raises(UnknownMessage) as query:
            await bench.app.query("job.guess", {})
        assert (command.value.code, query.value.code) == ("unknown-command", "unknown-query")
