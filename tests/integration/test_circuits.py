"""Circuit breakers over several processes, with limits, many jobs, and workers that die with what they try."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import asyncpg
import pytest

from infra.bootstrap import System
from tests.support.eventually import eventually
from tests.support.systems import TENANT, asked, batch, claimed, enqueued, history, reported, system, told

OPEN = {"failures": 3, "window": 60, "pause": 3_600}
LAPSE = "UPDATE leases SET expires_at = clock_timestamp() - interval '1 second'"


@pytest.fixture
async def running(fresh_database_url: str) -> AsyncIterator[System]:
    async with system(fresh_database_url) as it:
        yield it


@pytest.fixture
async def connection(fresh_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(fresh_database_url)
    yield connection
    await connection.close()


async def circuit(running: System, name: str = "transcribe") -> dict[str, Any]:
    found: dict[str, Any] = (await asked(running, "circuit.get", {"name": name}))["circuit"]
    return found


async def fail(running: System, number: int = 1, name: str = "transcribe") -> None:
    grants = await claimed(running, slots=number)
    assert {grant["name"] for grant in grants} == {name}
    for grant in grants:
        await reported(running, grant, "failed")


async def until(running: System, state: str, name: str = "transcribe") -> dict[str, Any]:
    return await eventually(lambda: circuit(running, name), lambda found: found["state"] == state, 30)


async def opened(running: System, policy: dict[str, Any], jobs: int) -> None:
    """The circuit is open after failures, and so many jobs are left."""
    await told(running, "circuit.configure", {"name": "transcribe", **policy})
    # The watch that counts has to know the name first.
    await running.circuits.look()
    await batch(running, "job.enqueue", [{"name": "transcribe", "max_attempts": 1}] * (jobs + policy["failures"]))
    await fail(running, policy["failures"])
    await until(running, "open")


async def test_what_several_processes_see_fail_counts_together(running: System, fresh_database_url: str) -> None:
    async with system(fresh_database_url) as other:
        await told(running, "circuit.configure", {"name": "transcribe", **OPEN})
        for each in (running, other):
            await each.circuits.look()
        await batch(running, "job.enqueue", [{"name": "transcribe", "max_attempts": 1}] * 5)
        await fail(running)
        await fail(other, 2)
        await until(running, "open")
        for each in (running, other):
            assert await claimed(each, slots=9) == []
        assert (await circuit(other))["held"] == 2
        assert await history(running, "transcribe", "circuit") == ["circuit.configured", "circuit.opened"]


async def test_the_jobs_behind_a_paused_name_are_granted_however_many_it_has(running: System) -> None:
    await opened(running, OPEN, 1_000)
    await enqueued(running, name="resize", priority=-100)
    assert [grant["name"] for grant in await claimed(running, slots=1)] == ["resize"]
    queue = (await asked(running, "queue.get", {"name": "default"}))["queue"]
    assert (queue["ready"], queue["waiting"]) == (0, {"circuit_open": 1_000})
    await told(running, "circuit.reset", {"name": "transcribe"})

    async def granted() -> list[Any]:
        return await claimed(running, slots=1_000, wait=1)

    assert len(await eventually(granted, lambda grants: grants, 30)) == 1_000


async def test_a_paused_name_holds_no_slot_of_a_limited_queue(running: System, connection: asyncpg.Connection) -> None:
    await told(running, "queue.configure", {"name": "default", "concurrency": 3})
    await opened(running, OPEN, 5)
    others = [await enqueued(running, name="resize") for _ in range(4)]
    assert [grant["job_id"] for grant in await claimed(running, slots=9)] == others[:3]
    held = await connection.fetchrow("SELECT held, running FROM queue_slots WHERE slot = 'queue:'")
    assert (held["held"], held["running"]) == (0, 3)


async def test_a_trial_that_a_worker_takes_to_its_grave_opens_it_again(
    running: System, connection: asyncpg.Connection
) -> None:
    await opened(running, {**OPEN, "pause": 2}, 3)
    await until(running, "half_open")
    [tried] = await eventually(lambda: claimed(running, slots=9), lambda grants: grants, 30)
    assert await claimed(running, slots=9) == []
    await told(running, "job.renew", {"worker": "w-5", "attempts": [{"job_id": tried["job_id"], "attempt": 1}]})
    await connection.execute(LAPSE)
    await until(running, "open")


async def test_a_trial_that_is_handed_back_is_made_by_another_job(running: System) -> None:
    await opened(running, {**OPEN, "pause": 2}, 3)
    await until(running, "half_open")
    [tried] = await eventually(lambda: claimed(running, slots=9), lambda grants: grants, 30)
    await reported(running, tried, "returned")
    [again] = await eventually(lambda: claimed(running, slots=9), lambda grants: grants, 30)
    await reported(running, again)
    await until(running, "closed")
    assert len(await eventually(lambda: claimed(running, slots=9), lambda grants: grants, 30)) >= 1


async def test_a_policy_of_the_configuration_file_holds_for_every_tenant(fresh_database_url: str) -> None:
    names = {"transcribe": {"circuit": {"failures": 2, "window": 60, "pause": 3_600}}}
    async with system(fresh_database_url, names=names) as running:
        assert [each["name"] for each in (await asked(running, "circuit.list", {}))["circuits"]] == ["transcribe"]
        await batch(running, "job.enqueue", [{"name": "transcribe", "max_attempts": 1}] * 4)
        await fail(running, 2)
        await until(running, "open")
        assert await claimed(running, slots=9) == []
        stats = await asked(running, "job.stats", {"details": True})
        assert [each["name"] for each in stats["circuits"]] == ["transcribe"]
        assert isinstance(stats["circuits"][0]["until"], datetime)


async def test_successes_keep_a_rate_from_opening_it(running: System) -> None:
    await told(running, "circuit.configure", {"name": "transcribe", "rate": 0.5, "minimum": 4, "window": 60})
    await running.circuits.look()
    await batch(running, "job.enqueue", [{"name": "transcribe", "max_attempts": 1}] * 7)
    for number, grant in enumerate(await claimed(running, slots=7)):
        await reported(running, grant, "failed" if number % 3 == 0 else "completed")
    await running.circuits.look()
    await running.circuits.look()
    assert (await circuit(running))["state"] == "closed"


async def test_claims_of_pools_leave_a_paused_name_of_one_tenant_and_no_other(running: System) -> None:
    await opened(running, OPEN, 2)
    await told(running, "job.enqueue", {"name": "transcribe"}, tenant="other")
    body = {"worker": "pool", "slots": 9, "tenants": ["*"]}
    grants = (await told(running, "job.claim", body, tenant="ops", claims_for=("*",))).result["grants"]
    assert [grant["tenant"] for grant in grants] == ["other"]
    assert TENANT not in {grant["tenant"] for grant in grants}


async def test_two_processes_judging_at_once_open_it_once(running: System, fresh_database_url: str) -> None:
    async with system(fresh_database_url) as other:
        await told(running, "circuit.configure", {"name": "transcribe", **OPEN})
        await asyncio.gather(running.circuits.look(), other.circuits.look())
        await batch(running, "job.enqueue", [{"name": "transcribe", "max_attempts": 1}] * 3)
        await fail(running, 3)
        await asyncio.gather(*(each.circuits.look() for each in (running, other, running, other)))
        await until(other, "open")
        assert await history(running, "transcribe", "circuit") == ["circuit.configured", "circuit.opened"]
