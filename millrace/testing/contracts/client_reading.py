"""Reading jobs: lists with filters, pages, and counts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, get_args

import pytest

from millrace import Invalid, Job, JobStatus, LogReset
from millrace.contracts.durations import Durations
from millrace.contracts.job import Stats
from millrace.contracts.job_fields import WaitReason
from millrace.testing.contracts.bench import Bench, claim, head, seen
from millrace.testing.contracts.client_circuits import POLICY, failing


async def failed_with(bench: Bench, message: str, **options: Any) -> Job:
    """A job of its own queue whose first attempt has failed."""
    job = await bench.app.jobs.enqueue("n", queue="failing", retry={"kind": "fixed", "delay": 600}, **options)
    [grant] = await claim(bench.app, 1, "failing")
    error = {"type": "ValueError", "message": message}
    outcome = {"job_id": job.id, "attempt": grant["attempt"], "outcome": "failed", "error": error}
    await bench.app.execute("job.report", outcome)
    return job


async def second_of(bench: Bench, queue: str, **limits: Any) -> str:
    """The second of two jobs in a queue that lets one start."""
    await bench.app.queues.configure(queue, **limits)
    first, second = [await bench.app.jobs.enqueue("other", queue=queue) for _ in range(2)]
    assert [grant["job_id"] for grant in await claim(bench.app, 2, queue)] == [first.id]
    return second.id


async def kept_for_another_worker(bench: Bench) -> str:
    """A job that a worker was not granted because another one has run the last job of its key."""
    wish: dict[str, Any] = {"queue": "warm", "key": "acme", "affinity": 300}
    first = await bench.app.jobs.enqueue("other", **wish)
    warm = {"worker": "warm", "queues": ["warm"], "slots": 1}
    assert len((await bench.app.execute("job.claim", warm)).result["grants"]) == 1
    await bench.app.execute("job.report", {"job_id": first.id, "attempt": 1, "outcome": "completed"})
    kept = await bench.app.jobs.enqueue("other", **wish)
    assert await claim(bench.app, 1, "warm") == []
    return kept.id


class ReadingContract:
    async def test_lists_show_the_newest_first_and_keep_to_their_filters(self, bench: Bench) -> None:
        app = bench.app
        running = await app.jobs.enqueue("a", queue="q", priority=9)
        await claim(app, 1, "q")
        waiting = await app.jobs.enqueue("a", queue="q")
        delayed = await app.jobs.enqueue("b", delay=60)
        cancelled = await app.jobs.enqueue("b")
        await app.jobs.cancel(cancelled.id)
        position = await head(app)
        expected: list[tuple[dict[str, Any], list[str]]] = [
            ({}, [cancelled.id, delayed.id, waiting.id, running.id]),
            ({"status": "pending"}, [waiting.id]),
            ({"status": JobStatus.PROCESSING}, [running.id]),
            ({"status": "active"}, [running.id]),
            ({"status": "delayed"}, [delayed.id]),
            ({"status": "cancelled"}, [cancelled.id]),
            ({"queue": "q"}, [waiting.id, running.id]),
            ({"name": "b"}, [cancelled.id, delayed.id]),
            ({"queue": "q", "status": "pending", "name": "a"}, [waiting.id]),
            ({"name": "c"}, []),
            ({"dead_lettered": True}, []),
            ({"limit": 1}, [cancelled.id]),
        ]
        for filters, ids in expected:
            listed = await app.jobs.list(**filters, min_position=position)
            assert [job.id for job in listed] == ids, filters

    async def test_jobs_are_found_by_what_went_wrong(self, bench: Bench) -> None:
        app = bench.app
        failed = [await failed_with(bench, message) for message in ("no room on disk-7 at /var/tmp", "No rights")]
        await app.jobs.enqueue("n")
        position = await head(app)
        expected = {
            "disk": [failed[0].id],
            "DISK no": [failed[0].id],
            "/var/tmp": [failed[0].id],
            "no": [failed[1].id, failed[0].id],
            "valueerror": [failed[1].id, failed[0].id],
            "dis": [],
            "disk rights": [],
        }
        for words, ids in expected.items():
            listed = await app.jobs.list(error=words, min_position=position)
            assert [job.id for job in listed] == ids, words
        assert [job.id for job in await app.jobs.list(error="no", name="n", status="delayed", limit=1)] == [
            failed[1].id
        ]

    async def test_jobs_are_found_by_when_they_came_and_ended(self, bench: Bench) -> None:
        app = bench.app
        first = await failed_with(bench, "no", max_attempts=1)
        second = await app.jobs.enqueue("n")
        await claim(app)
        await app.execute("job.report", {"job_id": second.id, "attempt": 1, "outcome": "completed"})
        third = await app.jobs.enqueue("n")
        position = await head(app)
        jobs = {job.id: job for job in await app.jobs.list(min_position=position)}
        came, ended = jobs[second.id].created_at, jobs[second.id].completed_at
        assert ended is not None

        async def found(**filters: Any) -> set[str]:
            return {job.id for job in await app.jobs.list(**filters)}

        since = {job.id for job in jobs.values() if job.created_at >= came}
        assert second.id in since
        assert await found(created_after=came) == since
        assert await found(created_before=came) == jobs.keys() - since
        times = {job.id: job.completed_at or job.failed_at for job in jobs.values()}
        later = {id for id, time in times.items() if time is not None and time >= ended}
        assert await found(finished_after=ended) == later
        assert await found(finished_before=ended) == {first.id, second.id} - later
        assert third.id not in await found(finished_before=bench.now() + timedelta(days=1))

    async def test_jobs_are_found_by_what_they_wait_for(self, bench: Bench) -> None:
        app = bench.app
        delayed = await app.jobs.enqueue("other", delay=600)
        again = await failed_with(bench, "no")
        expected = {"delayed": {delayed.id}, "retry": {again.id}}
        expected["affinity"] = {await kept_for_another_worker(bench)}
        parent = await app.jobs.enqueue("n", queue="parents")
        await app.queues.pause("stopped")
        # What comes after others waits for them first, and for its time and its queue only then.
        children = [
            await app.jobs.enqueue("other", queue="stopped", after=[parent.id]),
            await app.jobs.enqueue("other", after=[parent.id], delay=600),
        ]
        expected["dependent"] = {child.id for child in children}
        expected["paused"] = {(await app.jobs.enqueue("other", queue="stopped")).id}
        expected["capped"] = {await second_of(bench, "one-by-one", concurrency=1)}
        expected["rate-limited"] = {await second_of(bench, "hourly", rate={"limit": 1, "period": 3_600})}
        await app.circuits.configure("n", {**POLICY, "pause": 3_600})
        await app.jobs.enqueue_many([{"name": "n", "max_attempts": 1}] * 4)
        await failing(bench)
        # What a claim has met is set aside, the others of the name are only ready.
        assert await claim(app, 10) == []
        elsewhere = await app.jobs.enqueue("n", queue="elsewhere")
        position = await head(app)
        broken = await app.jobs.list(name="n", queue="default", status="pending", min_position=position)
        expected["circuit-open"] = {parent.id, elsewhere.id, *(job.id for job in broken)}
        assert len(broken) > 1
        unfinished = [job for status in ("pending", "delayed") for job in await app.jobs.list(status=status)]
        told = {job.id: (await app.jobs.why(job.id)).code for job in unfinished}
        assert expected.keys() == set(get_args(WaitReason))
        for reason, ids in expected.items():
            assert {job_id for job_id, code in told.items() if code == reason} == ids, reason
            assert {job.id for job in await app.jobs.list(waiting=reason, min_position=position)} == ids, reason
            assert len(await app.jobs.list(waiting=reason, limit=1)) == 1, reason

    async def test_what_jobs_cannot_be_listed_by_is_refused_with_what_they_can(self, bench: Bench) -> None:
        for reason in ("no-worker", "jobs-ahead", "rate_limited", "bad weather"):
            with pytest.raises(Invalid) as refused:
                await bench.app.jobs.list(waiting=reason)
            assert "waiting" in str(refused.value)
            assert [each for each in get_args(WaitReason) if f"'{each}'" not in str(refused.value)] == []

    async def test_pages_neither_skip_nor_repeat_while_jobs_arrive(self, bench: Bench) -> None:
        jobs = await bench.app.jobs.enqueue_many([{"name": "n", "data": {"i": i}} for i in range(7)])
        page = await bench.app.jobs.page(limit=3, min_position=await head(bench.app))
        found = list(page.jobs)
        while page.cursor is not None:
            await bench.app.jobs.enqueue("late")
            page = await bench.app.jobs.page(limit=3, cursor=page.cursor)
            found += page.jobs
        assert [job.id for job in found] == [job.id for job in reversed(jobs)]

    async def test_iterating_goes_through_all_pages(self, bench: Bench) -> None:
        jobs = await bench.app.jobs.enqueue_many([{"name": "n"}] * 5)
        position = await head(bench.app)
        found = [job.id async for job in bench.app.jobs.iterate(limit=2, min_position=position)]
        assert found == [job.id for job in reversed(jobs)]

    @pytest.mark.parametrize(
        "filters",
        [{"status": "odd"}, {"limit": 0}, {"limit": 1_001}, {"cursor": "x"}, {"error": "-"}, {"created_after": "noon"}],
    )
    async def test_filters_that_mean_nothing_are_refused(self, bench: Bench, filters: dict[str, Any]) -> None:
        with pytest.raises(Invalid):
            await bench.app.jobs.list(**filters)

    async def test_counts_follow_the_jobs(self, bench: Bench) -> None:
        app = bench.app
        statuses = {"pending", "processing", "completed", "failed", "delayed", "cancelled", "workers"}
        assert (await app.jobs.stats()).model_dump(include=statuses) == dict.fromkeys(statuses, 0)
        jobs = await app.jobs.enqueue_many([{"name": "n", "max_attempts": 1} for _ in range(5)])
        await app.jobs.enqueue("n", delay=60)
        await claim(app, 3)
        await app.execute("job.report", {"job_id": jobs[0].id, "attempt": 1, "outcome": "completed"})
        error = {"type": "E", "message": "m"}
        await app.execute("job.report", {"job_id": jobs[1].id, "attempt": 1, "outcome": "failed", "error": error})
        await app.jobs.cancel(jobs[4].id)
        stats = await app.query("job.stats", {}, min_position=await head(app))
        assert stats == {
            "pending": 1, "processing": 1, "completed": 1, "failed": 1, "delayed": 1, "cancelled": 1, "workers": 1,
        }  # fmt: skip

    async def test_a_position_of_another_log_is_refused(self, bench: Bench) -> None:
        with pytest.raises(LogReset):
            await bench.app.jobs.list(min_position="abcdef-1")
        with pytest.raises(Invalid):
            await bench.app.jobs.list(min_position="nonsense")

    async def test_jobs_are_found_by_whom_they_are_for(self, bench: Bench) -> None:
        app = bench.app
        own = [await app.jobs.enqueue("n", key="acme", queue=queue) for queue in ("a", "b")]
        others = [await app.jobs.enqueue("n", key="globex"), await app.jobs.enqueue("n")]
        position = await head(app)
        assert [job.key for job in await app.jobs.list(min_position=position)] == [None, "globex", "acme", "acme"]
        assert [job.id for job in await app.jobs.list(key="acme")] == [own[1].id, own[0].id]
        assert [job.id for job in await app.jobs.list(key="acme", queue="a")] == [own[0].id]
        assert await app.jobs.list(key="nobody") == []
        await app.jobs.cancel(own[0].id)
        assert [(await seen(app, job.id)).key for job in (own[0], *others)] == ["acme", "globex", None]
        with pytest.raises(Invalid):
            await app.jobs.list(key="")

    async def test_details_tell_of_queues_waits_and_run_times(self, bench: Bench) -> None:
        app = bench.app
        nothing = await app.jobs.stats(details=True)
        assert (nothing.queues, nothing.oldest_waiting, nothing.wait, nothing.run) == (
            (),
            None,
            Durations(),
            Durations(),
        )
        ran = await app.jobs.enqueue("n", queue="q")
        again = await failed_with(bench, "no")
        await claim(app, 1, "q")
        await app.execute("job.report", {"job_id": ran.id, "attempt": 1, "outcome": "completed"})
        await app.jobs.enqueue("n", queue="q")
        await app.jobs.enqueue("n", queue="q", delay=600)
        body = await app.query("job.stats", {"details": True}, min_position=await head(app))
        stats = Stats.model_validate(body)
        queues = {each.queue: each for each in stats.queues}
        assert queues.keys() == {"q", "failing"}
        assert (queues["q"].completed, queues["q"].pending, queues["q"].delayed) == (1, 1, 1)
        assert queues["q"].oldest_waiting is not None
        assert stats.oldest_waiting is not None
        assert stats.oldest_waiting >= 0
        assert queues["failing"].oldest_waiting is None
        assert stats.wait is not None
        assert stats.run is not None
        assert (stats.wait.count, stats.run.count) == (2, 2)
        assert stats.wait.buckets[-1].count == 2
        assert stats.wait.p50 is not None
        assert (await app.jobs.get_status(again.id)) is JobStatus.DELAYED
        only = await app.jobs.stats(queue="q", details=True)
        assert (only.completed, only.failed, [each.queue for each in only.queues]) == (1, 0, ["q"])
        assert only.run is not None
        assert only.run.count == 1
