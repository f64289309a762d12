"""Unique keys, and jobs that come after others."""

from __future__ import annotations

from typing import Any

import pytest

from millrace import DuplicateJob, JobContext, JobStatus, Unique, UnknownParent
from tests.contract.bench import Bench, claim, seen


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
