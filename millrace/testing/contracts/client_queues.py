"""Queues and waiting jobs as an application steers them."""

from __future__ import annotations

import pytest

from millrace import Invalid, JobStatus, NotFound, Refused
from millrace.testing.contracts.bench import Bench, claim, seen


class QueuesContract:
    async def test_a_paused_queue_waits_until_it_is_resumed(self, bench: Bench) -> None:
        job = await bench.app.jobs.enqueue("n")
        await bench.app.queues.pause("default", "the disk is full")
        assert await claim(bench.app) == []
        queue = await bench.app.queues.get("default")
        assert queue is not None
        assert (queue.paused, queue.ready, queue.running) == (True, 1, 0)
        await bench.app.queues.resume("default")
        assert [grant["job_id"] for grant in await claim(bench.app)] == [job.id]
        events = await bench.app.history("queue", "default")
        assert [event.eventtype for event in events] == ["queue.opened", "queue.paused", "queue.resumed"]
        assert events[1].data == {"reason": "the disk is full"}

    async def test_no_more_jobs_run_than_the_queue_the_name_and_the_key_allow(self, bench: Bench) -> None:
        await bench.app.queues.configure(
            "default", concurrency=3, per_name={"n": {"concurrency": 2}}, per_key={"concurrency": 1}
        )
        for name, key in (("n", "a"), ("n", "a"), ("n", "b"), ("n", "c"), ("m", None), ("m", None)):
            await bench.app.jobs.enqueue(name, {"key": key}, key=key)
        granted = await claim(bench.app, 10)
        assert [(grant["name"], grant["data"]["key"]) for grant in granted] == [("n", "a"), ("n", "b"), ("m", None)]
        queue = await bench.app.queues.get("default")
        assert queue is not None
        assert (queue.running, queue.ready, queue.waiting) == (3, 0, {"capped": 3})
        done = {"job_id": granted[0]["job_id"], "attempt": 1, "outcome": "completed"}
        await bench.app.execute("job.report", done)
        [following] = await claim(bench.app, 10)
        # What waits for the queue alone was there before the second of `a`, which waited for its key.
        assert following["name"] in ("n", "m")
        await bench.app.queues.configure("default", concurrency=None, per_name={}, per_key=None)
        assert len(await claim(bench.app, 10)) == 2

    async def test_starts_are_limited_to_a_rate(self, bench: Bench) -> None:
        @bench.app.job
        async def n() -> None: ...

        await bench.app.queues.configure("default", rate={"limit": 4, "period": 1, "burst": 1})
        jobs = [await n.enqueue() for _ in range(4)]
        ended = await bench.run(*jobs, seconds=2)
        started = sorted(job.started_at for job in ended if job.started_at is not None)
        assert len(started) == 4
        assert (started[-1] - started[0]).total_seconds() >= 0.74

    async def test_a_fair_queue_serves_keys_in_turn(self, bench: Bench) -> None:
        await bench.app.queues.configure("default", order="fair", weights={"b": 2})
        for key in "aaaabbbb":
            await bench.app.jobs.enqueue("n", {"key": key}, key=key)
        assert [grant["data"]["key"] for grant in await claim(bench.app, 6)].count("b") == 4

    async def test_waiting_makes_up_for_priority_in_a_queue_with_aging(self, bench: Bench) -> None:
        await bench.app.queues.configure("default", order="aging", aging=0.000_001)
        first = await bench.app.jobs.enqueue("n", priority=-100)
        if bench.capabilities.virtual_clock:
            bench.app.clock.advance(1)  # type: ignore[attr-defined]
        await bench.app.jobs.enqueue("n", priority=100)
        assert [grant["job_id"] for grant in await claim(bench.app)] == [first.id]

    async def test_settings_that_make_no_sense_are_refused(self, bench: Bench) -> None:
        with pytest.raises(Invalid):
            await bench.app.queues.configure("default", concurrency=0)
        with pytest.raises(Invalid):
            await bench.app.queues.configure("default", rate={"limit": 1, "period": 0})
        assert await bench.app.queues.get("default") is None

    async def test_what_is_not_given_stays_as_it_is(self, bench: Bench) -> None:
        await bench.app.queues.configure("q", concurrency=3, rate={"limit": 5})
        await bench.app.queues.configure("q", weights={"a": 2})
        await bench.app.queues.configure("q", rate=None)
        queue = await bench.app.queues.get("q")
        assert queue is not None
        assert (queue.concurrency, queue.rate, queue.weights, queue.order) == (3, None, {"a": 2.0}, "strict")
        assert [each.name for each in await bench.app.queues.list()] == ["q"]

    async def test_draining_cancels_what_waits(self, bench: Bench) -> None:
        running, waiting = [await bench.app.jobs.enqueue("n") for _ in range(2)]
        delayed = await bench.app.jobs.enqueue("n", delay=3_600)
        elsewhere = await bench.app.jobs.enqueue("n", queue="other")
        await claim(bench.app)
        assert await bench.app.queues.drain("default") == 2
        statuses = [(await seen(bench.app, job.id)).status for job in (running, waiting, delayed, elsewhere)]
        assert statuses == [JobStatus.PROCESSING, JobStatus.CANCELLED, JobStatus.CANCELLED, JobStatus.PENDING]

    async def test_jobs_that_wait_for_others_are_counted_changed_and_drained(self, bench: Bench) -> None:
        parent = await bench.app.jobs.enqueue("n")
        child = await bench.app.jobs.enqueue("n", queue="other", after=parent)
        await bench.app.jobs.change(child.id, priority=5)
        queue = await bench.app.queues.get("other")
        assert queue is not None
        assert (queue.ready, queue.waiting) == (0, {"dependent": 1})
        assert (await seen(bench.app, child.id)).status is JobStatus.DELAYED
        assert [grant["job_id"] for grant in await claim(bench.app, 5, "default", "other")] == [parent.id]
        assert await bench.app.queues.drain("other") == 1
        assert (await seen(bench.app, child.id)).status is JobStatus.CANCELLED

    async def test_a_waiting_job_gets_another_priority_time_queue_and_data(self, bench: Bench) -> None:
        first, second, third = [await bench.app.jobs.enqueue("n", {"n": n}) for n in range(3)]
        await bench.app.jobs.change(third.id, priority=5)
        await bench.app.jobs.change(first.id, data={"n": 10})
        await bench.app.jobs.change(second.id, queue="other", delay=3_600)
        assert [(g["job_id"], g["data"]) for g in await claim(bench.app, 5, "default", "other")] == [
            (third.id, {"n": 2}), (first.id, {"n": 10}),
        ]  # fmt: skip
        changed = await seen(bench.app, second.id)
        assert (changed.status, changed.queue) == (JobStatus.DELAYED, "other")
        assert changed.run_at is not None
        await bench.app.jobs.change(second.id, delay=0)
        assert [grant["job_id"] for grant in await claim(bench.app, 5, "other")] == [second.id]
        events = await bench.app.history("job", second.id)
        assert [event.data["changed"] for event in events if event.eventtype == "job.changed"] == [
            ["queue", "run_at"], ["run_at"],
        ]  # fmt: skip

    async def test_only_a_waiting_job_is_changed(self, bench: Bench) -> None:
        job = await bench.app.jobs.enqueue("n")
        with pytest.raises(Invalid):
            await bench.app.jobs.change(job.id)
        await claim(bench.app)
        with pytest.raises(Refused, match="running"):
            await bench.app.jobs.change(job.id, priority=1)
        await bench.app.jobs.cancel(job.id)
        with pytest.raises(Refused, match="ended"):
            await bench.app.jobs.change(job.id, priority=1)
        with pytest.raises(NotFound):
            await bench.app.jobs.change("00000000-0000-4000-8000-000000000000", priority=1)
