"""Jobs that prefer a worker, over several processes, with limits, circuits and workers that die."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import asyncpg
import pytest

from infra.bootstrap import System
from millrace.contracts.wire import Accepted
from tests.support.eventually import eventually
from tests.support.systems import asked, batch, claimed, enqueued, job, reported, system, told

SILENT = "UPDATE workers SET seen_at = clock_timestamp() - interval '31 seconds' WHERE worker = $1"
ROWS = "SELECT count(*) FROM job_affinities"


@pytest.fixture
async def running(fresh_database_url: str) -> AsyncIterator[System]:
    async with system(fresh_database_url) as it:
        yield it


@pytest.fixture
async def connection(fresh_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(fresh_database_url)
    yield connection
    await connection.close()


async def warm(running: System, worker: str = "warm", key: str = "acme", slots: int = 4) -> None:
    """The worker has run a job of the key."""
    job_id = await enqueued(running, key=key, affinity=300)
    [grant] = await claimed(running, slots, worker)
    assert grant["job_id"] == job_id
    await reported(running, grant)


async def reason(running: System, job_id: str) -> str:
    return str((await asked(running, "job.why", {"job_id": job_id}))["code"])


async def test_a_key_s_jobs_stay_with_their_worker_over_two_processes(running: System, fresh_database_url: str) -> None:
    """Two workers that hold their claims in two processes: whichever is asked first, the warm one gets the job."""
    async with system(fresh_database_url) as other:
        keys = [f"k-{number}" for number in range(8)]
        for number, key in enumerate(keys):
            await warm(*((running, "one") if number % 2 else (other, "two")), key)
        ran: dict[str, set[str]] = {key: set() for key in keys}
        done = asyncio.Event()

        async def work(process: System, worker: str) -> None:
            while not done.is_set():
                for grant in await claimed(process, 4, worker, wait=0.5):
                    ran[grant["key"]].add(worker)
                    await reported(process, grant)

        workers = [asyncio.create_task(work(running, "one")), asyncio.create_task(work(other, "two"))]
        for _ in range(10):
            for process in (running, other):
                bodies = [{"name": "n", "key": key, "affinity": 60} for key in keys[:3]]
                items = await batch(process, "job.enqueue", bodies)
                jobs = [str(item.result["job_id"]) for item in items if isinstance(item, Accepted)]
                assert len(jobs) == 3
                # One round at a time: what the warm worker has no room for goes to the other one.
                await completed(running, jobs)
        done.set()
        await asyncio.gather(*workers)
        assert {key: ran[key] for key in keys[:3]} == {"k-0": {"two"}, "k-1": {"one"}, "k-2": {"two"}}


async def completed(running: System, job_ids: list[str]) -> None:
    """Waits until the jobs themselves are; the counts of the read model may be older than they are."""
    for job_id in job_ids:
        await eventually(partial(job, running, job_id), lambda found: found["status"] == "completed", 30)


async def test_a_worker_that_is_not_heard_of_holds_nothing_any_more(
    running: System, connection: asyncpg.Connection
) -> None:
    await warm(running)
    kept = await enqueued(running, key="acme", affinity=300)
    assert await claimed(running, worker="cold") == []
    assert await reason(running, kept) == "affinity"
    await connection.execute(SILENT, "warm")
    [grant] = await claimed(running, worker="cold")
    assert grant["job_id"] == kept
    assert await connection.fetchval(ROWS) == 0


async def test_when_its_worker_has_filled_up_a_job_goes_to_another(running: System) -> None:
    await warm(running, slots=1)
    kept = await enqueued(running, key="acme", affinity=300)
    assert await claimed(running, worker="cold") == []
    urgent = await enqueued(running, priority=9)
    assert [grant["job_id"] for grant in await claimed(running, worker="warm")] == [urgent]
    assert [grant["job_id"] for grant in await claimed(running, worker="cold")] == [kept]


async def test_the_next_attempt_waits_anew(running: System) -> None:
    await warm(running)
    kept = await enqueued(running, key="acme", affinity=300, retry={"kind": "fixed", "delay": 0.1, "jitter": 0})
    [grant] = await claimed(running, worker="warm")
    await reported(running, grant, "failed")

    async def looked() -> str:
        assert await claimed(running, worker="cold") == []
        return await reason(running, kept)

    await eventually(looked, lambda code: code == "affinity", 30)
    [again] = await claimed(running, worker="warm")
    assert (again["job_id"], again["attempt"]) == (kept, 2)


async def test_a_job_that_waits_for_its_worker_holds_no_slot_of_its_queue(
    running: System, connection: asyncpg.Connection
) -> None:
    await told(running, "queue.configure", {"name": "default", "concurrency": 1})
    await warm(running)
    kept = await enqueued(running, key="acme", affinity=300)
    other = await enqueued(running)
    [grant] = await claimed(running, 5, "cold")
    assert grant["job_id"] == other
    assert await claimed(running, worker="warm") == [], "the queue's only slot is taken"
    await reported(running, grant)
    assert [each["job_id"] for each in await claimed(running, worker="warm")] == [kept]
    held = await connection.fetchrow("SELECT held, running FROM queue_slots WHERE slot = 'queue:'")
    assert (held["held"], held["running"]) == (0, 1)


async def test_pools_leave_jobs_to_the_worker_of_their_key(running: System) -> None:
    async def pooled(worker: str) -> list[Any]:
        body = {"worker": worker, "slots": 4, "tenants": ["*"]}
        grants = (await told(running, "job.claim", body, tenant="ops", claims_for=("*",))).result["grants"]
        return [grant["job_id"] for grant in grants]

    first = await enqueued(running, key="acme", affinity=300)
    assert await pooled("warm") == [first]
    kept = await enqueued(running, key="acme", affinity=300)
    assert await pooled("cold") == []
    assert await pooled("warm") == [kept]


async def test_behind_many_jobs_that_are_kept_others_are_found(running: System) -> None:
    await warm(running, slots=300)
    kept = await batch(running, "job.enqueue", [{"name": "n", "key": "acme", "affinity": 300, "priority": 5}] * 250)
    other = await enqueued(running)
    assert [grant["job_id"] for grant in await claimed(running, 1, "cold")] == [other]
    assert len(await claimed(running, 300, "warm")) == len(kept)


async def test_what_is_cancelled_or_changed_meanwhile_leaves_nothing_behind(
    running: System, connection: asyncpg.Connection
) -> None:
    await warm(running)
    cancelled, changed = [await enqueued(running, key="acme", affinity=300) for _ in range(2)]
    assert await claimed(running, 5, "cold") == []
    await told(running, "job.cancel", {"job_id": cancelled})
    await told(running, "job.change", {"job_id": changed, "priority": 3})
    assert [grant["job_id"] for grant in await claimed(running, 5, "warm")] == [changed]
    assert await connection.fetchval(ROWS) == 0
