"""Jobs that come after others: released once, in order, whatever becomes of the parents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from infra.bootstrap import System
from millrace.contracts.wire import Accepted, Refused
from tests.support.eventually import eventually
from tests.support.systems import (
    batch,
    claimed,
    context,
    enqueued,
    executed,
    history,
    job,
    refused,
    reported,
    system,
    told,
)


@pytest.fixture
async def running(fresh_database_url: str) -> AsyncIterator[System]:
    async with system(fresh_database_url) as running:
        yield running


async def left(url: str) -> tuple[int, int]:
    """How many children wait, and for how many parents in all."""
    connection = await asyncpg.connect(url)
    try:
        row = await connection.fetchrow(
            "SELECT (SELECT count(*) FROM dependents) AS children, (SELECT count(*) FROM dependencies) AS links"
        )
        assert row is not None
        return row["children"], row["links"]
    finally:
        await connection.close()


async def ended(running: System, outcome: str = "completed", slots: int = 1, **body: Any) -> list[str]:
    """The jobs that were granted and have ended so."""
    grants = await claimed(running, slots=slots)
    for grant in grants:
        await reported(running, grant, outcome, **body)
    return [grant["job_id"] for grant in grants]


async def test_a_child_runs_after_its_parent_and_is_told_what_came_of_it(running: System) -> None:
    parent = await enqueued(running, name="load")
    child = await enqueued(running, name="show", after=parent)
    assert (await job(running, child))["status"] == "delayed"
    (grant,) = await claimed(running, slots=9)
    assert grant["job_id"] == parent
    await reported(running, grant, result={"rows": 17})
    (grant,) = await claimed(running, slots=9)
    assert grant["job_id"] == child
    assert grant["parents"] == [
        {"job_id": parent, "name": "load", "status": "completed", "result": {"rows": 17}, "left_out": False}
    ]
    assert "after" not in grant


async def test_a_claim_that_is_held_gets_the_child_at_once(running: System) -> None:
    parent = await enqueued(running, queue="a")
    child = await enqueued(running, queue="b", after=[parent])
    held = asyncio.create_task(claimed(running, queues=["b"], wait=30.0))
    (grant,) = await claimed(running, queues=["a"])
    await reported(running, grant)
    assert [grant["job_id"] for grant in await asyncio.wait_for(held, 20)] == [child]


async def test_parents_that_are_done_are_not_waited_for(running: System) -> None:
    parent = await enqueued(running)
    await ended(running)
    child = await enqueued(running, after=parent)
    assert await ended(running) == [child]


async def test_a_child_waits_for_its_time_too(running: System, fresh_database_url: str) -> None:
    parent = await enqueued(running)
    child = await enqueued(running, after=parent, delay=3600)
    await ended(running)
    assert await claimed(running) == []
    assert await left(fresh_database_url) == (0, 0)
    await told(running, "job.cancel", {"job_id": child})


async def test_parents_that_do_not_exist_are_refused_so_there_is_no_circle(running: System) -> None:
    real = await enqueued(running)
    reply = await executed(running, "job.enqueue", {"name": "n", "after": [real, "made-up"]}, context("m-17"))
    assert isinstance(reply, Refused)
    assert (reply.problem.code, reply.problem.model_dump()["job_ids"]) == ("unknown-parent", ["made-up"])
    theirs = await told(running, "job.enqueue", {"name": "n"}, tenant="other")
    assert await refused(running, "job.enqueue", {"name": "n", "after": theirs.result["job_id"]}) == "unknown-parent"


async def test_fan_out_and_fan_in_over_a_thousand_jobs(running: System, fresh_database_url: str) -> None:
    first = await enqueued(running, name="split")
    middle = [
        answer.result["job_id"]
        for answer in await batch(
            running, "job.enqueue", [{"name": "part", "data": {"i": i}, "after": first} for i in range(1000)]
        )
        if isinstance(answer, Accepted)
    ]
    assert len(middle) == 1000
    last = await enqueued(running, name="join", after=middle)
    assert await left(fresh_database_url) == (1001, 2000)
    await ended(running)
    grants = await claimed(running, slots=1000)
    assert [grant["job_id"] for grant in grants] == middle, "in the order in which they were enqueued"
    reports = [
        {"job_id": grant["job_id"], "attempt": 1, "outcome": "completed", "result": grant["data"]["i"]}
        for grant in grants
    ]
    await batch(running, "job.report", reports[:999])
    assert await claimed(running) == []
    await batch(running, "job.report", reports[999:])
    (grant,) = await claimed(running, slots=9)
    assert grant["job_id"] == last
    assert [parent["result"] for parent in grant["parents"]] == list(range(1000))
    assert await left(fresh_database_url) == (0, 0)


async def test_results_that_are_too_much_are_left_out_and_said_to_be(running: System) -> None:
    parents = [await enqueued(running) for _ in range(5)]
    for grant in await claimed(running, slots=5):
        await reported(running, grant, result="x" * 300_000)
    await enqueued(running, after=parents)
    (grant,) = await claimed(running)
    assert [parent["left_out"] for parent in grant["parents"]] == [False, False, False, True, True]
    assert [len(parent["result"] or "") for parent in grant["parents"]] == [300_000] * 3 + [0, 0]


@pytest.mark.parametrize("how", ["failed", "cancelled"])
async def test_the_failure_of_a_parent_cancels_what_comes_after_it(
    running: System, fresh_database_url: str, how: str
) -> None:
    parent = await enqueued(running, max_attempts=1)
    child = await enqueued(running, after=parent)
    grandchild = await enqueued(running, after=child)
    if how == "failed":
        await ended(running, "failed")
    else:
        await told(running, "job.cancel", {"job_id": parent})
    await eventually(lambda: history(running, grandchild), lambda types: types == ["job.enqueued", "job.cancelled"])
    assert await history(running, child) == ["job.enqueued", "job.cancelled"]
    assert await left(fresh_database_url) == (0, 0)


async def test_a_child_may_run_in_spite_of_a_failure(running: System) -> None:
    bad = await enqueued(running, max_attempts=1)
    child = await enqueued(running, after=bad, on_parent_failure="run")
    await ended(running, "failed")
    (grant,) = await claimed(running)
    assert grant["job_id"] == child
    assert [(parent["status"], parent["result"]) for parent in grant["parents"]] == [("failed", None)]


async def test_a_child_may_wait_until_its_parent_was_retried(running: System) -> None:
    bad = await enqueued(running, max_attempts=1)
    child = await enqueued(running, after=bad, on_parent_failure="wait")
    await ended(running, "failed")
    late = await enqueued(running, after=bad, on_parent_failure="wait")
    assert await claimed(running) == []
    await told(running, "job.retry", {"job_id": bad})
    assert await ended(running) == [bad]
    assert await ended(running, slots=5) == [child, late]


async def test_a_parent_that_failed_before_cancels_a_new_child(running: System) -> None:
    bad = await enqueued(running, max_attempts=1)
    await ended(running, "failed")
    child = await enqueued(running, after=bad)
    await eventually(lambda: history(running, child), lambda types: types == ["job.enqueued", "job.cancelled"])


async def test_a_retry_of_a_parent_is_no_end_of_it(running: System) -> None:
    parent = await enqueued(running, retry={"kind": "fixed", "delay": 0.05})
    child = await enqueued(running, after=parent)
    await ended(running, "failed")
    grants = await eventually(lambda: claimed(running), bool)
    assert [grant["job_id"] for grant in grants] == [parent]
    await reported(running, grants[0])
    assert await ended(running) == [child]


async def test_a_child_can_be_cancelled_while_it_waits(running: System, fresh_database_url: str) -> None:
    parent = await enqueued(running)
    child = await enqueued(running, after=parent)
    await told(running, "job.cancel", {"job_id": child})
    assert await left(fresh_database_url) == (0, 0)
    assert await ended(running, slots=9) == [parent]


async def finish(running: System) -> None:
    (grant,) = await claimed(running, worker=f"w-{id(running)}")
    await reported(running, grant)


async def grow(running: System, parents: list[str]) -> list[str]:
    return [await enqueued(running, after=parents, priority=-5) for _ in range(5)]


async def test_two_processes_release_each_child_once(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as one, system(fresh_database_url, ["api"]) as two:
        for _ in range(5):
            parents = [await enqueued(one), await enqueued(two)]
            _, _, *made = await asyncio.gather(finish(one), finish(two), *(grow(each, parents) for each in (one, two)))
            grants = await claimed(one, slots=100)
            assert sorted(grant["job_id"] for grant in grants) == sorted(made[0] + made[1])
            for grant in grants:
                await reported(one, grant)
        assert await left(fresh_database_url) == (0, 0)


async def test_children_survive_a_restart(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as running:
        parent = await enqueued(running)
        child = await enqueued(running, after=parent)
    async with system(fresh_database_url) as running:
        assert await ended(running) == [parent]
        assert await ended(running) == [child]
