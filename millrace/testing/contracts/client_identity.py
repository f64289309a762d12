"""Unique keys, jobs that come after others, and changes to many jobs at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from millrace import DuplicateJob, Invalid, Job, JobContext, JobStatus, Unique, UnknownParent
from millrace.testing.contracts.bench import Bench, claim, seen


class IdentityContract:
    async def test_a_key_lets_in_one_job_until_that_has_ended(self, bench: Bench) -> None:
        first = await bench.app.jobs.enqueue("n", unique="k-7")
        with pytest.raises(DuplicateJob) as refused:
            await bench.app.jobs.enqueue("n", unique="k-7")
        assert refused.value.job_id == first.id
        await bench.app.jobs.cancel(first.id)
        await bench.app.jobs.enqueue("n", unique="k-7")

    async def test_name_and_data_make_a_key(self, bench: Bench) -> None:
        await bench.app.jobs.enqueue("n", {"a": 1, "b": 2}, unique=True)
        await bench.app.jobs.enqueue("n", {"a": 1, "b": 3}, unique=True)
        with pytest.raises(DuplicateJob):
            await bench.app.jobs.enqueue("n", {"b": 2, "a": 1}, unique=True)

    async def test_the_job_that_has_the_key_may_be_the_answer(self, bench: Bench) -> None:
        first = await bench.app.jobs.enqueue("n", {"a": 1}, unique="k")
        wish = Unique(key="k", on_conflict="existing")
        again = await bench.app.jobs.enqueue("n", {"a": 2}, unique=wish)
        assert (again.id, again.data) == (first.id, {"a": 1})

    async def test_a_waiting_job_may_be_replaced_and_a_running_one_not(self, bench: Bench) -> None:
        first = await bench.app.jobs.enqueue("n", {"a": 1}, unique="k", delay=60)
        wish = {"key": "k", "on_conflict": "replace"}
        second = await bench.app.jobs.enqueue("n", {"a": 2}, unique=wish)
        assert (await seen(bench.app, first.id)).status is JobStatus.CANCELLED
        assert [grant["job_id"] for grant in await claim(bench.app, 5)] == [second.id]
        with pytest.raises(DuplicateJob):
            await bench.app.jobs.enqueue("n", {"a": 3}, unique=wish)

    async def test_a_start_frees_a_key_that_was_taken_until_then(self, bench: Bench) -> None:
        await bench.app.jobs.enqueue("n", unique={"key": "k", "until": "started"})
        await claim(bench.app)
        await bench.app.jobs.enqueue("n", unique={"key": "k", "until": "started"})

    async def test_a_start_frees_such_a_key_long_before_its_time_is_over(self, bench: Bench) -> None:
        wish = {"key": "k", "until": "started", "ttl": 3_600}
        first = await bench.app.jobs.enqueue("n", unique=wish)
        with pytest.raises(DuplicateJob) as refused:
            await bench.app.jobs.enqueue("n", unique=wish)
        assert refused.value.job_id == first.id
        assert [grant["job_id"] for grant in await claim(bench.app)] == [first.id]
        second = await bench.app.jobs.enqueue("n", unique=wish)
        with pytest.raises(DuplicateJob) as refused:
            await bench.app.jobs.enqueue("n", unique=wish)
        assert refused.value.job_id == second.id, "the start of the first freed the key for one job"

    @pytest.mark.parametrize("until", ["done", "started"])
    async def test_a_key_whose_time_is_over_is_free_though_its_job_still_waits(self, bench: Bench, until: str) -> None:
        wish = {"key": "k", "until": until, "ttl": 2}
        first = await bench.app.jobs.enqueue("n", unique=wish)
        with pytest.raises(DuplicateJob):
            await bench.app.jobs.enqueue("n", unique=wish)

        async def again() -> Job | None:
            try:
                return await bench.app.jobs.enqueue("n", unique={"key": "k", "until": until})
            except DuplicateJob:
                return None

        second = await bench.until(again, bool)
        assert second is not None
        assert (await seen(bench.app, first.id)).status is JobStatus.PENDING
        assert {grant["job_id"] for grant in await claim(bench.app)} == {first.id}
        with pytest.raises(DuplicateJob) as refused:
            await bench.app.jobs.enqueue("n", unique=wish)
        assert refused.value.job_id == second.id, "the first has lost the key, so its start does not free it"

    async def test_a_job_comes_after_others_and_is_told_their_results(self, bench: Bench) -> None:
        seen_by_child: list[Any] = []

        @bench.app.job
        async def double(n: int) -> int:
            return 2 * n

        @bench.app.job
        async def total(job: JobContext) -> int:
            seen_by_child.extend((parent.name, parent.status) for parent in job.parents)
            return sum(parent.result for parent in job.parents)

        parents = [await double.enqueue(n) for n in (1, 2, 4)]
        child = await bench.app.jobs.enqueue("total", after=parents, priority=50)
        assert child.status is JobStatus.DELAYED
        await bench.run(*parents, child)
        assert await bench.app.jobs.result(child.id) == 14
        assert seen_by_child == [("double", JobStatus.COMPLETED)] * 3

    async def test_parents_must_exist(self, bench: Bench) -> None:
        with pytest.raises(UnknownParent, match="made-up"):
            await bench.app.jobs.enqueue("n", after="made-up")
        parent = await bench.app.jobs.enqueue("n")
        await bench.app.jobs.remove(parent.id)
        with pytest.raises(UnknownParent, match=parent.id):
            await bench.app.jobs.enqueue("n", after=parent.id)

    @pytest.mark.parametrize(
        ("policy", "status"),
        [(None, JobStatus.CANCELLED), ("run", JobStatus.COMPLETED), ("wait", JobStatus.COMPLETED)],
    )
    async def test_the_failure_of_a_parent_leads_to_what_was_wished(
        self, bench: Bench, policy: Any, status: JobStatus
    ) -> None:
        healed = False

        @bench.app.job(max_attempts=1)
        async def shaky() -> None:
            if not healed:
                raise OSError("not yet")

        @bench.app.job
        async def n() -> None: ...

        parent = await shaky.enqueue()
        child = await bench.app.jobs.enqueue("n", after=parent, on_parent_failure=policy)
        await bench.run(parent)
        assert (await seen(bench.app, parent.id)).status is JobStatus.FAILED
        if policy == "wait":
            assert (await seen(bench.app, child.id)).status is JobStatus.DELAYED
            healed = True
            await bench.app.jobs.retry(parent.id)
        await bench.run(child)
        assert (await seen(bench.app, child.id)).status is status

    @pytest.mark.parametrize(
        ("policy", "status"),
        [(None, JobStatus.CANCELLED), ("run", JobStatus.COMPLETED), ("wait", JobStatus.DELAYED)],
    )
    async def test_the_cancellation_of_a_parent_leads_to_what_was_wished(
        self, bench: Bench, policy: Any, status: JobStatus
    ) -> None:
        told: list[Any] = []

        @bench.app.job
        async def n(job: JobContext) -> None:
            told.extend((parent.job_id, parent.status, parent.result) for parent in job.parents)

        parent = await bench.app.jobs.enqueue("n", delay=600)
        before = await bench.app.jobs.enqueue("n", after=parent, on_parent_failure=policy)
        await bench.app.jobs.cancel(parent.id)
        late = await bench.app.jobs.enqueue("n", after=parent, on_parent_failure=policy)
        if policy == "wait":
            # What could run has run, and these two are not among it.
            await bench.run(await bench.app.jobs.enqueue("n"))
        else:
            await bench.run(before, late)
        assert [(await seen(bench.app, job.id)).status for job in (before, late)] == [status] * 2
        assert told == [(parent.id, JobStatus.CANCELLED, None)] * (2 if policy == "run" else 0)
        if policy is None:
            [*_, event] = await bench.app.history("job", before.id)
            assert event.data["reason"] == f"job {parent.id}, which it was to run after, did not complete"
        if policy == "wait":
            assert (await bench.app.jobs.why(before.id)).code == "dependent"
            assert await bench.app.jobs.cancel(before.id) is True

    async def test_the_graph_around_a_job(self, bench: Bench) -> None:
        first = await bench.app.jobs.enqueue("first")
        middle = [await bench.app.jobs.enqueue("middle", after=first) for _ in range(2)]
        last = await bench.app.jobs.enqueue("last", after=middle, on_parent_failure="wait")
        await bench.app.jobs.enqueue("alone")
        # What has come after a job since is shown once the read model knows of it.
        graph = await bench.until(lambda: bench.app.jobs.graph(middle[0].id), lambda found: len(found.jobs) == 4)
        assert graph.jobs[0].job_id == middle[0].id
        assert {(job.job_id, job.name) for job in graph.jobs} == {(job.id, job.name) for job in (first, *middle, last)}
        assert {(link.parent, link.child, link.on_parent_failure) for link in graph.links} == {
            *((first.id, job.id, "cancel") for job in middle),
            *((job.id, last.id, "wait") for job in middle),
        }
        assert graph.complete
        part = await bench.app.jobs.graph(middle[0].id, limit=2)
        assert (len(part.jobs), part.complete) == (2, False)

    async def test_many_are_canceled_by_filter(self, bench: Bench) -> None:
        made = await bench.app.jobs.enqueue_many(
            {"name": name, "queue": queue, "delay": delay}
            for name, queue, delay in [("a", "x", None), ("a", "y", None), ("b", "x", 60), ("a", "x", 60)]
        )
        [running] = await claim(bench.app, 1, "x")
        assert running["job_id"] == made[0].id
        count = await bench.app.jobs.cancel_many(name="a", queue="x", dry_run=True)
        assert (count.matched, count.changed) == (2, 0)
        late = bench.now() + timedelta(hours=1)
        for filters in ({"status": "completed"}, {"created_after": late}, {"error": "broken"}, {"name": "c"}):
            assert (await bench.app.jobs.cancel_many(**filters)).matched == 0
        done = await bench.app.jobs.cancel_many(name="a", queue="x", created_before=late, reason="not needed")
        assert (done.matched, done.changed, done.refused) == (2, 2, 0)
        statuses = [(await seen(bench.app, job.id)).status for job in made]
        assert statuses == [JobStatus.CANCELLED, JobStatus.PENDING, JobStatus.DELAYED, JobStatus.CANCELLED]
        [*_, event] = await bench.app.history("job", made[3].id)
        assert event.data["reason"] == "not needed"
        assert (await bench.app.jobs.cancel_many(name="a", queue="x")).matched == 0

    async def test_many_dead_letters_are_retried_by_filter(self, bench: Bench) -> None:
        @bench.app.job(max_attempts=1)
        async def shaky(why: str) -> None:
            raise OSError(why)

        jobs = [await shaky.enqueue(why) for why in ("disk full", "no route", "disk full")]
        await bench.run(*jobs)
        assert (await bench.app.jobs.retry_many(error="dis", dry_run=True)).matched == 0, "words are whole, as in lists"
        done = await bench.app.jobs.retry_many(error="DISK")
        assert (done.matched, done.changed) == (2, 2)
        statuses = [(await seen(bench.app, job.id)).status for job in jobs]
        assert statuses == [JobStatus.PENDING, JobStatus.FAILED, JobStatus.PENDING]

    async def test_a_change_to_many_needs_a_filter_and_a_cursor_that_was_told(self, bench: Bench) -> None:
        with pytest.raises(Invalid, match="filter"):
            await bench.app.jobs.cancel_many()
        with pytest.raises(Invalid, match="cursor"):
            await bench.app.execute("job.cancel_many", {"name": "n", "cursor": "behind"})

    async def test_many_are_changed_in_pages(self, bench: Bench) -> None:
        await bench.app.jobs.enqueue_many({"name": "n"} for _ in range(5))
        first = (await bench.app.execute("job.cancel_many", {"name": "n", "limit": 2})).result
        assert (first["matched"], first["changed"]) == (2, 2)
        late = await bench.app.jobs.enqueue("n")
        rest = {"name": "n", "limit": 9, "cursor": first["cursor"]}
        second = (await bench.app.execute("job.cancel_many", rest)).result
        assert (second["matched"], second["changed"], second["cursor"]) == (3, 3, None)
        assert (await seen(bench.app, late.id)).status is JobStatus.PENDING
