"""Batches over processes, crashes and flushes: counted exactly, completed once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from infra.bootstrap import System
from millrace.contracts.wire import Accepted
from tests.support.eventually import eventually
from tests.support.systems import asked, batch, claimed, enqueued, history, refused, reported, system, told

COUNTS = ("total", "open", "completed", "failed", "cancelled")


@pytest.fixture
async def running(fresh_database_url: str) -> AsyncIterator[System]:
    async with system(fresh_database_url) as running:
        yield running


async def created(running: System, **body: Any) -> str:
    return str((await told(running, "batch.create", {"name": "import", **body})).result["batch_id"])


async def seen(running: System, batch_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await asked(running, "batch.get", {"batch_id": batch_id}))["batch"]
    return found


async def counts(running: System, batch_id: str) -> tuple[int, ...]:
    found = await seen(running, batch_id)
    return tuple(found[name] for name in COUNTS)


async def completed(running: System, batch_id: str) -> dict[str, Any]:
    return await eventually(lambda: seen(running, batch_id), lambda found: found["is_complete"])


async def test_a_thousand_jobs_are_counted_whatever_shares_their_flushes(running: System) -> None:
    batch_id = await created(running)
    bodies = [{"name": "n", "max_attempts": 1, **({"batch": batch_id} if n % 2 else {})} for n in range(2000)]
    answers = await batch(running, "job.enqueue", bodies)
    assert all(isinstance(answer, Accepted) for answer in answers)
    assert await counts(running, batch_id) == (1000, 1000, 0, 0, 0)
    await told(running, "batch.seal", {"batch_id": batch_id})
    for _ in range(2):
        grants = await claimed(running, slots=1000)
        reports = [
            {"job_id": grant["job_id"], "attempt": 1, "outcome": "failed", "error": {}}
            if number % 10 == 1
            else {"job_id": grant["job_id"], "attempt": 1, "outcome": "completed"}
            for number, grant in enumerate(grants)
        ]
        await batch(running, "job.report", reports)
    found = await completed(running, batch_id)
    assert tuple(found[name] for name in COUNTS) == (1000, 0, 800, 200, 0)
    state = await asked(running, "log.history", {"kind": "batch", "id": batch_id})
    assert [event["eventtype"] for event in state["events"]] == ["batch.created", "batch.sealed", "batch.completed"]
    assert state["events"][-1]["data"] == {"total": 1000, "completed": 800, "failed": 200, "cancelled": 0}


async def test_a_dead_letter_that_is_revived_is_open_again(running: System) -> None:
    batch_id = await created(running)
    job_id = await enqueued(running, batch=batch_id, max_attempts=1)
    (grant,) = await claimed(running)
    await reported(running, grant, "failed")
    assert await counts(running, batch_id) == (1, 0, 0, 1, 0)
    await told(running, "job.retry", {"job_id": job_id})
    assert await counts(running, batch_id) == (1, 1, 0, 0, 0)
    (grant,) = await claimed(running)
    await reported(running, grant)
    assert await counts(running, batch_id) == (1, 0, 1, 0, 0)


async def test_a_retry_and_a_removal_are_counted_as_what_they_are(running: System) -> None:
    batch_id = await created(running)
    retried = await enqueued(running, batch=batch_id, retry={"kind": "fixed", "delay": 3600})
    (grant,) = await claimed(running)
    await reported(running, grant, "failed")
    removed = await enqueued(running, batch=batch_id)
    await told(running, "job.remove", {"job_id": removed})
    assert await counts(running, batch_id) == (2, 1, 0, 0, 1)
    await told(running, "job.cancel", {"job_id": retried})
    assert await counts(running, batch_id) == (2, 0, 0, 0, 2)


async def test_two_processes_complete_a_batch_once(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as one, system(fresh_database_url) as two:
        for _ in range(5):
            batch_id = await created(one, on_complete={"name": "after"}, on_success={"name": "after"})
            for each in (one, two, one, two):
                await enqueued(each, batch=batch_id)
            await told(two, "batch.seal", {"batch_id": batch_id})

            for grants in await asyncio.gather(claimed(one, slots=2, worker="a"), claimed(two, slots=2, worker="b")):
                for grant in grants:
                    await reported(one, grant)
            await eventually(lambda id=batch_id: seen(one, id), lambda found: found["is_success"])  # type: ignore[misc]
            grants = await eventually(lambda: claimed(one, slots=10))
            assert [(grant["name"], grant["data"]["batch"]["id"]) for grant in grants] == [("after", batch_id)] * 2
            for grant in grants:
                await reported(one, grant)
            assert await claimed(one, slots=10) == []
            assert await history(one, batch_id, "batch") == [
                "batch.created", "batch.sealed", "batch.completed", "batch.succeeded",
            ]  # fmt: skip


async def test_a_batch_that_was_done_while_nobody_looked_completes_after_the_restart(fresh_database_url: str) -> None:
    async with system(fresh_database_url, ["api"]) as running:
        batch_id = await created(running, on_complete={"name": "after"})
        await enqueued(running, batch=batch_id)
        await told(running, "batch.seal", {"batch_id": batch_id})
        (grant,) = await claimed(running)
        await reported(running, grant)
        assert not (await seen(running, batch_id))["is_complete"]
    async with system(fresh_database_url) as running:
        await completed(running, batch_id)
        (grant,) = await claimed(running)
        assert grant["data"]["batch"]["completed"] == 1


async def test_a_cancelled_batch_cancels_more_than_one_page(running: System) -> None:
    batch_id = await created(running)
    await batch(running, "job.enqueue", [{"name": "n", "batch": batch_id}] * 1200)
    await told(running, "batch.cancel", {"batch_id": batch_id})
    assert await refused(running, "job.enqueue", {"name": "n", "batch": batch_id}) == "batch-sealed"
    found = await completed(running, batch_id)
    assert (found["cancelled"], found["is_success"]) == (1200, False)
    assert await claimed(running, slots=10) == []


async def test_a_batch_belongs_to_one_tenant(running: System) -> None:
    batch_id = await created(running)
    assert await refused(running, "job.enqueue", {"name": "n", "batch": batch_id}, tenant="other") == "unknown-batch"
    assert await refused(running, "batch.seal", {"batch_id": batch_id}, tenant="other") == "not-found"


async def test_no_member_is_left_when_all_have_completed(running: System, fresh_database_url: str) -> None:
    batch_id = await created(running)
    await enqueued(running, batch=batch_id, unique="k", after=await enqueued(running))
    for _ in range(2):
        (grant,) = await claimed(running)
        await reported(running, grant)
    connection = await asyncpg.connect(fresh_database_url)
    try:
        assert await connection.fetchval("SELECT count(*) FROM batch_members") == 0
    finally:
        await connection.close()
    assert await counts(running, batch_id) == (1, 0, 1, 0, 0)
