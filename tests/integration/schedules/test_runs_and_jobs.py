"""Each run has its job, whatever happens between the two, and the job has what the run gives it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest_asyncio

from infra.bootstrap import build
from infra.settings import Settings
from tests.support.eventually import eventually
from tests.support.schedules import due_since, enqueued_jobs, minutes_ago
from tests.support.stores import migrated
from tests.support.systems import TENANT, asked, claimed, enqueued, job, reported, system, told


@pytest_asyncio.fixture
async def connection(fresh_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(fresh_database_url)
    yield connection
    await connection.close()


async def test_a_crash_between_a_run_and_its_job_loses_neither(fresh_database_url: str) -> None:
    async with system(fresh_database_url, ["api"]) as running:
        await told(running, "schedule.create", {"name": "s", "cron": "@yearly", "job": {"name": "tick"}})
        # Nobody is there who would enqueue the job.
        job_id = (await told(running, "schedule.trigger", {"name": "s"})).result["job_id"]
        assert await enqueued_jobs(running) == []
    async with system(fresh_database_url) as running:
        assert await eventually(lambda: enqueued_jobs(running)) == [job_id]


async def test_a_run_that_is_reacted_to_again_makes_no_second_job(
    fresh_database_url: str, connection: asyncpg.Connection
) -> None:
    async with system(fresh_database_url) as running:
        await told(running, "schedule.create", {"name": "s", "cron": "@yearly", "job": {"name": "tick"}})
        job_id = (await told(running, "schedule.trigger", {"name": "s"})).result["job_id"]
        [grant] = await claimed(running)
        await reported(running, grant)
    # As after a crash before the position was saved.
    await connection.execute("UPDATE readers SET position = 0 WHERE name = 'reaction:schedules'")
    async with system(fresh_database_url) as running:
        head = await running.storage.store.head()
        await eventually(lambda: running.storage.readers.position("reaction:schedules"), lambda at: at >= head)
        assert await enqueued_jobs(running) == [job_id]
        assert (await job(running, job_id))["status"] == "completed"


async def test_a_log_from_before_schedules_is_not_reacted_to(
    fresh_database_url: str, connection: asyncpg.Connection
) -> None:
    async with system(fresh_database_url, ["api"]) as running:
        await enqueued(running)
    at = await connection.fetchval("SELECT position FROM readers WHERE name = 'reaction:schedules'")
    assert at == 0
    await connection.execute("DELETE FROM readers WHERE name = 'reaction:schedules'")
    await connection.execute("DELETE FROM migrations WHERE name = '0010_schedules'")
    await migrated(fresh_database_url)
    at = await connection.fetchval("SELECT position FROM readers WHERE name = 'reaction:schedules'")
    assert at == 1


async def test_a_job_is_linked_to_its_run_and_keeps_tenant_and_company(fresh_database_url: str) -> None:
    dsn = fresh_database_url
    await due_since(dsn, "s", await minutes_ago(dsn, 0))
    async with system(dsn) as running:
        [job_id, *_] = await eventually(lambda: enqueued_jobs(running))
        told_of = (await asked(running, "log.why", {"id": job_id}))["events"]
        assert [event["eventtype"] for event in told_of] == ["schedule.fired", "job.enqueued"]
        assert {(event["tenant"], event["company"]) for event in told_of} == {(TENANT, "north")}
        assert told_of[1]["causationid"] == told_of[0]["id"]


async def test_jobs_get_the_defaults_that_hold_when_they_are_started(fresh_database_url: str) -> None:
    dsn = fresh_database_url
    await due_since(dsn, "s", await minutes_ago(dsn, 0), job={"name": "tick", "queue": "high_priority"})
    settings = Settings.model_validate({"modules": {"jobs": {"defaults": {"max_attempts": 9, "timeout": 7}}}})
    running = await build(settings, dsn)
    running.start()
    try:
        [job_id, *_] = await eventually(lambda: enqueued_jobs(running))
        started = await job(running, job_id)
        assert (started["max_attempts"], started["timeout"], started["queue"]) == (9, 7, "high_priority")
    finally:
        await running.stop()
