"""What the settings ask for happens in a running service by itself: its composition starts these loops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adapters.postgres.archive import PostgresArchivableLog
from adapters.postgres.mapper import EventMapper
from infra.bootstrap import System
from tests.support.eventually import eventually
from tests.support.systems import asked, claimed, enqueued, history, job, reported, system, told

AT_ONCE = 0.001  # seconds: whatever has ended is older at the next look


async def ended(running: System) -> dict[str, str]:
    """A job of each state in which jobs end, once the read model has it."""
    made = {}
    for outcome in ("completed", "failed"):
        made[outcome] = await enqueued(running, max_attempts=1)
        await reported(running, (await claimed(running))[0], outcome)
    made["cancelled"] = await enqueued(running)
    await told(running, "job.cancel", {"job_id": made["cancelled"]})
    for job_id in made.values():
        await job(running, job_id)
    return made


async def test_a_service_removes_ended_jobs_whose_time_is_over(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as running:
        made = await ended(running)
    ages = {"completed": AT_ONCE, "failed": AT_ONCE}
    async with system(fresh_database_url, more={"retention": ages}) as running:
        for state in ages:
            types = await eventually(lambda id=made[state]: history(running, id), lambda found: "job.removed" in found)
            assert types.count("job.removed") == 1
        listed = (await asked(running, "job.list", {}))["jobs"]
        assert made["cancelled"] in {each["id"] for each in listed}, "a status without a number stays"


async def test_a_service_archives_removed_jobs_whose_time_is_over(fresh_database_url: str, tmp_path: Path) -> None:
    async with system(fresh_database_url) as running:
        removed, stays = await enqueued(running), await enqueued(running)
        await told(running, "job.remove", {"job_id": removed})
        before = await history(running, removed)
        # Only what every reader has passed leaves the log, and a service looks once a minute.
        source = PostgresArchivableLog(running.storage.pool, EventMapper())
        await eventually(lambda: source.candidates(AT_ONCE, 9), lambda found: len(found) == 1)
    storage = tmp_path / "objects"

    async def told_of(running: System, job_id: str) -> dict[str, Any]:
        return await asked(running, "log.history", {"kind": "job", "id": job_id})

    async with system(fresh_database_url, storage=storage, more={"archive": {"after": AT_ONCE}}) as running:
        found = await eventually(lambda: told_of(running, removed), lambda page: "archived" in page)
        assert [event["eventtype"] for event in found["events"]] == before
        assert "archived" not in await told_of(running, stays)
    assert [each.is_file() for each in storage.rglob("*") if each.name == found["archived"]["sha256"]] == [True]


async def test_without_such_settings_everything_stays(fresh_database_url: str, tmp_path: Path) -> None:
    async with system(fresh_database_url, storage=tmp_path / "objects") as running:
        made = await ended(running)
        names = {loop.name for loop in running.loops}
        assert ("timers" in names, "retention" in names) == (True, False)
        for job_id in made.values():
            assert "job.removed" not in await history(running, job_id)
