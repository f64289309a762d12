"""What the settings ask for happens in a running service by itself: its composition starts these loops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adapters.postgres.archive import PostgresArchivableLog
from adapters.postgres.mapper import EventMapper
from infra.bootstrap import System
from tests.support.eventually import eventually
from tests.support.running import running
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


async def test_a_service_removes_ended_progress_whose_time_is_over(fresh_database_url: str) -> None:
    async with running(fresh_database_url, http=False) as service:
        for id in ("done", "lost", "dropped", "open"):
            await told(service.system, "progress.create", {"id": id})
        for id, how in (("done", "complete"), ("lost", "fail"), ("dropped", "cancel")):
            await told(service.system, f"progress.{how}", {"progress_id": id})
            await asked(service.system, "progress.get", {"progress_id": id})
    cleanup = {"retain_completed": AT_ONCE, "retain_failed": AT_ONCE}
    async with running(fresh_database_url, http=False, modules={"progress": {"cleanup": cleanup}}) as service:
        for id in ("done", "lost", "dropped"):
            types = await eventually(
                lambda id=id: history(service.system, id, "progress"), lambda found: "progress.removed" in found
            )
            assert types.count("progress.removed") == 1
        listed = await eventually(
            lambda: asked(service.system, "progress.list", {}), lambda page: len(page["progress"]) == 1
        )
        assert listed["progress"][0]["id"] == "open"


async def test_a_service_removes_notifications_whose_time_is_over(fresh_database_url: str) -> None:
    async with running(fresh_database_url, http=False) as service:
        ids = []
        for title in ("read", "unread"):
            sent = await told(service.system, "notification.send", {"user_id": "kim", "title": title})
            ids.append(sent.result["notification_id"])
        read = await told(service.system, "notification.mark_read", {"notification_id": ids[0]})
        await asked(service.system, "notification.get", {"notification_id": ids[0]}, read.position)
    for age, id in (("read", ids[0]), ("unread", ids[1])):
        modules = {"notifications": {"retention": {age: AT_ONCE}}}
        async with running(fresh_database_url, http=False, modules=modules) as service:
            await eventually(
                lambda id=id: history(service.system, id, "notification"),
                lambda found: "notification.removed" in found,
            )
            if age == "read":
                assert "notification.removed" not in await history(service.system, ids[1], "notification")


async def test_without_such_settings_everything_stays(fresh_database_url: str, tmp_path: Path) -> None:
    async with system(fresh_database_url, storage=tmp_path / "objects") as running:
        made = await ended(running)
        names = {loop.name for loop in running.loops}
        assert ("timers" in names, "retention" in names) == (True, False)
        for job_id in made.values():
            assert "job.removed" not in await history(running, job_id)
