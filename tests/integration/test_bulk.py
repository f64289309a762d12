"""Changing many jobs at once: in pages, resumably, as ordinary commands."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from infra.bootstrap import System
from millrace.contracts.wire import Accepted
from tests.support.systems import asked, batch, claimed, enqueued, refused, reported, system, told


@pytest.fixture
async def running(fresh_database_url: str) -> AsyncIterator[System]:
    async with system(fresh_database_url) as running:
        yield running


async def test_more_than_a_page_is_cancelled_whatever_was_accepted_just_before(running: System) -> None:
    await batch(running, "job.enqueue", [{"name": "n", "queue": "q"}] * 1200)
    kept = await enqueued(running, name="other", queue="q")
    done = (await told(running, "job.cancel_many", {"name": "n", "limit": 1100})).result
    assert (done["matched"], done["changed"], done["refused"]) == (1100, 1100, 0)
    rest = (await told(running, "job.cancel_many", {"name": "n", "cursor": done["cursor"]})).result
    assert (rest["matched"], rest["cursor"]) == (100, None)
    assert [grant["job_id"] for grant in await claimed(running, slots=1000, queues=["q"])] == [kept]


async def test_a_repeated_call_changes_nothing_twice(running: System, fresh_database_url: str) -> None:
    await batch(running, "job.enqueue", [{"name": "n", "max_attempts": 1}] * 3)
    for grant in await claimed(running, slots=3):
        await reported(running, grant, "failed")
    body = {"name": "n", "reason": "mended"}
    first = (await told(running, "job.retry_many", body, "m-bulk")).result
    assert (first["matched"], first["changed"]) == (3, 3)
    assert (await told(running, "job.retry_many", body, "m-bulk")).result["matched"] == 0
    connection = await asyncpg.connect(fresh_database_url)
    try:
        ids = await connection.fetch("SELECT command_id FROM inbox WHERE command_id LIKE 'm-bulk/%'")
        revived = await connection.fetchval("SELECT count(*) FROM stored_events WHERE event_type = 'job.revived'")
    finally:
        await connection.close()
    assert (len(ids), revived) == (3, 3)


async def test_what_cannot_be_retried_is_counted_and_the_rest_goes_on(running: System) -> None:
    for n in range(2):
        await enqueued(running, name="n", data={"n": n}, unique={"key": f"k-{n}"}, max_attempts=1)
    for grant in await claimed(running, slots=2):
        await reported(running, grant, "failed")
    await enqueued(running, name="other", unique={"key": "k-0"})
    done = (await told(running, "job.retry_many", {"name": "n"})).result
    assert (done["matched"], done["changed"], done["refused"]) == (2, 1, 1)


async def test_another_tenant_s_jobs_are_left_alone(running: System) -> None:
    await told(running, "job.enqueue", {"name": "n"}, tenant="other")
    assert (await told(running, "job.cancel_many", {"name": "n"})).result["matched"] == 0
    assert await refused(running, "job.cancel_many", {}) == "invalid"


async def test_a_graph_tells_the_nearest_jobs_and_whether_there_are_more(running: System) -> None:
    first = await enqueued(running)
    answers = await batch(running, "job.enqueue", [{"name": "n", "after": first}] * 300)
    assert isinstance(answers[-1], Accepted)
    graph = await asked(running, "job.graph", {"job_id": first, "limit": 101}, answers[-1].position)
    assert (len(graph["jobs"]), len(graph["links"]), graph["complete"]) == (101, 100, False)
    whole = await asked(running, "job.graph", {"job_id": first})
    assert (len(whole["jobs"]), len(whole["links"]), whole["complete"]) == (301, 300, True)
