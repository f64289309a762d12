"""Jobs that ended long ago leave the read models."""

from __future__ import annotations

import asyncio

from adapters.postgres.expired_jobs import PostgresExpiredJobs
from handlers.retention import Retention
from infra.bootstrap import System
from tests.support.eventually import eventually
from tests.support.systems import asked, claimed, enqueued, history, job, reported, system, told

OLD = -1.0  # seconds: whatever has ended is older


async def everything(running: System) -> dict[str, str]:
    """A job in each state, by the name of the state."""
    made = {}
    for outcome in ("completed", "failed"):
        made[outcome] = await enqueued(running, max_attempts=1)
        (grant,) = await claimed(running)
        await reported(running, grant, outcome)
    made["cancelled"] = await enqueued(running)
    await told(running, "job.cancel", {"job_id": made["cancelled"]})
    made["pending"] = await enqueued(running)
    for job_id in made.values():
        await job(running, job_id)
    return made


def retention(running: System, **ages: float) -> Retention:
    return Retention(PostgresExpiredJobs(running.storage.pool), running.pipeline, ages)


async def test_what_ended_long_ago_goes_and_its_history_says_why(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as running:
        made = await everything(running)
        assert await retention(running, completed=OLD, failed=OLD, cancelled=OLD).sweep() == 3
        await eventually(lambda: asked(running, "job.list", {}), lambda page: len(page["jobs"]) == 1)
        assert (await asked(running, "job.list", {}))["jobs"][0]["id"] == made["pending"]
        assert (await history(running, made["completed"]))[-1] == "job.removed"
        events = (await asked(running, "log.history", {"kind": "job", "id": made["failed"]}))["events"]
        assert events[-1]["data"] == {"reason": "retention"}


async def test_what_is_younger_or_of_another_state_stays(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as running:
        await everything(running)
        assert await retention(running, completed=3_600, failed=3_600, cancelled=3_600).sweep() == 0
        assert await retention(running, completed=OLD).sweep() == 1


async def test_two_processes_at_once_remove_each_job_once(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as running, system(fresh_database_url, ["api"]) as other:
        made = await everything(running)
        await asyncio.gather(*(retention(each, completed=OLD, failed=OLD).sweep() for each in (running, other)))
        for state in ("completed", "failed"):
            assert (await history(running, made[state])).count("job.removed") == 1


async def test_a_failed_parent_stays_while_others_wait_for_it(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as running:
        parent = await enqueued(running, max_attempts=1)
        child = await enqueued(running, after=parent, on_parent_failure="wait")
        (grant,) = await claimed(running)
        await reported(running, grant, "failed")
        await job(running, parent)
        assert await retention(running, failed=OLD).sweep() == 0
        await told(running, "job.retry", {"job_id": parent})
        for expected in (parent, child):
            (grant,) = await claimed(running)
            assert grant["job_id"] == expected
            await reported(running, grant)
        await job(running, child)
        assert await retention(running, completed=OLD).sweep() == 2
