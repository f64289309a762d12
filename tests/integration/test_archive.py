"""Jobs that were removed long ago move from the log into objects: nothing is lost, and nobody is misled."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import from_json

from adapters.postgres.archive import PostgresArchivableLog
from adapters.postgres.database import Database
from adapters.postgres.mapper import EventMapper
from adapters.storage.local_folder import LocalFolder
from domain.archive import KIND as ARCHIVE
from domain.storage import ObjectStore
from handlers.archive import Archived, Archiver
from infra.bootstrap import System
from infra.maintenance import rebuild_read_model
from infra.objects import archiver_of
from millrace.contracts.wire import Refused
from projections.jobs import JobsProjection
from tests.support.eventually import eventually
from tests.support.systems import answered, asked, claimed, context, enqueued, history, refused, reported, system, told

ROOT = Path(__file__).resolve().parents[2]
LEFT = "SELECT count(*) FROM stored_events WHERE event_type = 'job.removed'"
ALL_TOLD = """
SELECT min(position) >= (SELECT max(notification_id) FROM stored_events WHERE event_type = 'job.removed') FROM readers
"""
OLD = -1.0  # seconds: whatever was removed is older


@pytest.fixture
async def running(fresh_database_url: str, tmp_path: Path) -> AsyncIterator[System]:
    async with system(fresh_database_url, storage=tmp_path / "objects") as running:
        yield running


def archiver(running: System, objects: ObjectStore | None = None, age: float | None = OLD) -> Archiver:
    path = running.settings.modules.jobs.storage.path
    assert path is not None
    made = archiver_of(running.storage, objects or LocalFolder(Path(path)), running.pipeline, EventMapper(), age)
    assert made is not None
    return made


async def removed(running: System, **body: Any) -> str:
    """A job that has completed and was removed."""
    job_id = await enqueued(running, **body)
    (grant,) = await claimed(running)
    await reported(running, grant, result={"of": job_id})
    await told(running, "job.remove", {"job_id": job_id, "reason": "old"})
    return job_id


async def removed_with_its_child(running: System) -> None:
    """Two jobs that have completed and were removed, one after the other."""
    parent = await enqueued(running)
    child = await enqueued(running, after=parent)
    for _ in range(2):
        (grant,) = await claimed(running)
        await reported(running, grant)
    for job_id in (child, parent):
        await told(running, "job.remove", {"job_id": job_id})


async def swept(running: System, wanted: int) -> Archived:
    """What a sweep came to, once every reader has passed what is to go."""

    async def sweep() -> Archived:
        done.append(await archiver(running).sweep())
        return Archived(*(sum(getattr(each, field) for each in done) for field in ("streams", "events", "objects")))

    done: list[Archived] = []
    return await eventually(sweep, lambda all_of_them: all_of_them.streams == wanted)


async def test_a_removed_job_moves_into_an_object_and_its_history_is_read_there(running: System) -> None:
    job_id = await removed(running)
    before = (await asked(running, "log.history", {"kind": "job", "id": job_id}))["events"]
    assert "archived" not in await asked(running, "log.history", {"kind": "job", "id": job_id})
    done = await swept(running, 1)
    assert (done.events, done.objects) == (len(before), 1)
    after = await asked(running, "log.history", {"kind": "job", "id": job_id})
    assert after["events"] == before
    assert after["archived"]["name"] == f"acme/archive/{after['archived']['sha256']}"
    part = await asked(running, "log.history", {"kind": "job", "id": job_id, "after_version": 2, "limit": 1})
    assert part["events"] == before[2:3]
    state = await asked(running, "log.state", {"kind": "job", "id": job_id, "at": "3"})
    assert (state["version"], state["state"]["result"]) == (3, {"of": job_id})
    assert job_id in {event["subject"] for event in (await asked(running, "log.why", {"id": job_id}))["events"]}


async def test_commands_to_an_archived_job_are_refused_as_such(running: System) -> None:
    job_id = await removed(running, message_id="m-first")
    await swept(running, 1)
    for command in ("job.cancel", "job.retry", "job.remove"):
        assert await refused(running, command, {"job_id": job_id}) == "archived"
    assert await refused(running, "job.enqueue", {"name": "n", "after": job_id}) == "unknown-parent"
    # The command that created it may come again long after its answer was forgotten.
    await running.storage.pool.execute("DELETE FROM inbox")
    assert await refused(running, "job.enqueue", {"name": "transcribe"}, "m-first") == "archived"


async def test_the_log_tells_who_comes_too_late_and_begins_where_it_is_whole(running: System) -> None:
    first = await told(running, "job.enqueue", {"name": "n"})
    gone = await removed(running, priority=9)
    kept = await enqueued(running)
    await swept(running, 1)
    reply = await answered(running, "log.read", {"after": first.position}, context())
    assert isinstance(reply, Refused)
    assert (reply.problem.code, reply.problem.status) == ("gone", 410)
    begin = (reply.problem.model_extra or {})["first"]
    page = await asked(running, "log.read", {"after": begin})
    assert page["events"][0]["subject"] == kept
    again = await asked(running, "log.read", {"after": "beginning"})
    assert again["events"] == page["events"]
    recorded = next(event for event in page["events"] if event["eventtype"] == f"{ARCHIVE}.streams_archived")
    assert (recorded["data"]["ids"], recorded["data"]["events"]) == ([gone], 4)


async def test_a_rebuild_comes_to_the_same_rows_before_and_after_events_have_gone(
    running: System, fresh_database_url: str
) -> None:
    await removed_with_its_child(running)
    await enqueued(running)
    for wanted in (0, 2):
        if wanted:
            await swept(running, wanted)
        # In a store of its own, which remembers no events that have left the log.
        assert (await rebuild_read_model(fresh_database_url, "jobs", lambda done, total: None, verify=True)).equal


async def test_a_rebuild_is_equal_where_the_live_model_has_not_come_to_what_was_archived(
    running: System, fresh_database_url: str, tmp_path: Path
) -> None:
    await removed_with_its_child(running)
    assert await eventually(lambda: running.storage.pool.fetchval(ALL_TOLD), bool)
    await running.stop()
    async with system(fresh_database_url, ("api",), storage=tmp_path / "objects") as behind:
        await swept(behind, 2)
        assert (await rebuild_read_model(fresh_database_url, "jobs", lambda done, total: None, verify=True)).equal


async def test_rows_that_an_interrupted_rebuild_has_made_of_lost_events_go(
    running: System, fresh_database_url: str
) -> None:
    job_id = await removed(running)
    projection = JobsProjection()
    first = (await running.storage.store.read(0, 1_000))[:2]
    assert {event.stream.id for event in first} == {job_id}
    await swept(running, 1)
    connection = await Database(fresh_database_url).connect(command_timeout=None)
    try:
        # As far as it had got when it was interrupted; the rest of the job's events is gone since.
        await projection.create(connection, 2)
        await projection.apply(connection, 2, first)
        await connection.execute(
            "INSERT INTO readers (name, version, position) VALUES ('jobs@v2', 2, $1)", first[-1].position
        )
        assert (await rebuild_read_model(fresh_database_url, "jobs", lambda done, total: None, verify=True)).equal
        assert await connection.fetchval("SELECT count(*) FROM jobs_v2") == 0
        assert await connection.fetchval("SELECT count(*) FROM job_counts_v2") == 0
    finally:
        await connection.close()


async def test_parents_stay_until_their_children_are_gone(running: System) -> None:
    parent = await enqueued(running)
    (grant,) = await claimed(running)
    await reported(running, grant, result={"of": parent})
    child = await enqueued(running, after=parent)
    await told(running, "job.remove", {"job_id": parent})
    # From here on only the child keeps it.
    assert await eventually(lambda: running.storage.pool.fetchval(ALL_TOLD), bool)
    assert await archiver(running).sweep() == Archived()
    (grant,) = await claimed(running)
    assert [told["result"] for told in grant["parents"]] == [{"of": parent}]
    await reported(running, grant)
    await told(running, "job.remove", {"job_id": child})
    assert (await swept(running, 2)).streams == 2


async def test_nothing_comes_after_a_job_that_may_be_archived_any_moment(running: System) -> None:
    parent = await removed(running)
    assert await refused(running, "job.enqueue", {"name": "n", "after": parent}) == "unknown-parent"
    await swept(running, 1)


async def test_a_subscription_that_has_not_got_there_keeps_its_events(running: System) -> None:
    await told(running, "subscription.create", {"name": "billing", "pattern": "job.#", "start": "beginning"})
    job_id = await removed(running)
    await asyncio.sleep(0)
    assert await archiver(running).sweep() == Archived()
    head = (await asked(running, "log.read", {"after": "head"}))["position"]
    await told(running, "subscription.acknowledge", {"name": "billing", "position": head})
    await swept(running, 1)
    assert len((await asked(running, "log.history", {"kind": "job", "id": job_id}))["events"]) == 4


async def test_what_was_removed_lately_stays_and_so_does_everything_without_a_time(running: System) -> None:
    await removed(running)
    for age in (3_600.0, None):
        assert await archiver(running, age=age).sweep() == Archived()


async def test_each_tenant_has_objects_of_its_own(running: System) -> None:
    for tenant in ("acme", "north"):
        reply = await told(running, "job.enqueue", {"name": "n"}, tenant=tenant)
        await told(running, "job.remove", {"job_id": reply.result["job_id"]}, tenant=tenant)
    assert (await swept(running, 2)).objects == 2
    rows = await running.storage.pool.fetch("SELECT tenant FROM stored_events WHERE kind = 'archive' ORDER BY tenant")
    assert [row["tenant"] for row in rows] == ["acme", "north"]


async def test_an_archive_that_is_gone_or_damaged_is_told_and_hides_nothing(running: System, tmp_path: Path) -> None:
    job_id = await removed(running)
    await swept(running, 1)
    (file,) = [each for each in (tmp_path / "objects").rglob("*") if each.is_file()]
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    assert await query_refused(running, job_id) == "archived"
    file.unlink()
    assert await query_refused(running, job_id) == "archived"
    file.write_bytes(content)
    assert (await history(running, job_id))[-1] == "job.removed"


async def test_without_a_storage_the_history_says_where_it_is(running: System, fresh_database_url: str) -> None:
    job_id = await removed(running)
    await swept(running, 1)
    async with system(fresh_database_url, ["api"]) as other:
        told_by_other = await asked(other, "log.history", {"kind": "job", "id": job_id})
    (mark,) = told_by_other["events"]
    assert (mark["eventtype"], mark["data"]) == ("stream.archived", told_by_other["archived"])


async def query_refused(running: System, job_id: str) -> str:
    reply = await answered(running, "log.history", {"kind": "job", "id": job_id}, context())
    assert isinstance(reply, Refused)
    return reply.problem.code


async def test_two_archivers_at_once_archive_each_job_once(running: System, tmp_path: Path) -> None:
    jobs = [await removed(running) for _ in range(5)]
    dsn = running.settings.database_url
    assert dsn is not None
    async with system(dsn.get_secret_value(), ["api"], storage=tmp_path / "objects") as other:

        async def left() -> int:
            await asyncio.gather(*(archiver(each).sweep() for each in (running, other, running)))
            return int(await running.storage.pool.fetchval(LEFT))

        await eventually(left, lambda count: count == 0)
    rows = await running.storage.pool.fetch("SELECT state FROM stored_events WHERE kind = 'archive'")
    assert sorted(id for row in rows for id in from_json(row["state"])["ids"]) == sorted(jobs)


async def test_an_operator_archives_by_command(running: System, tmp_path: Path) -> None:
    jobs = [await removed(running) for _ in range(2)]
    dsn = running.settings.database_url
    assert dsn is not None
    # Readers have to be past what is to go.
    source = PostgresArchivableLog(running.storage.pool, EventMapper())
    await eventually(lambda: source.candidates(OLD, 9), lambda found: len(found) == 2)
    told_by_command = await command(dsn.get_secret_value(), tmp_path / "objects", "archive", "--after", "0")
    assert told_by_command == (0, "archived 2 jobs (8 events) in 1 objects\n", "")
    assert [(await history(running, job_id))[-1] for job_id in jobs] == ["job.removed"] * 2
    code, _, error = await command(dsn.get_secret_value(), None, "archive", "--after", "0")
    assert (code, "modules.jobs.storage.path" in error) == (1, True)
    code, _, error = await command(dsn.get_secret_value(), tmp_path / "objects", "archive")
    assert (code, "--after" in error) == (1, True)


async def command(dsn: str, storage: Path | None, *arguments: str) -> tuple[int, str, str]:
    """How a command of the service ends: its code and what it prints."""
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": dsn,
        "PYTHONPATH": str(ROOT),
        "MILLRACE_LOG_LEVEL": "error",
    }
    if storage is not None:
        environment["MILLRACE_MODULES__JOBS__STORAGE__PATH"] = str(storage)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "infra.main", *arguments, env=environment, stdout=-1, stderr=-1
    )
    out, error = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), error.decode()
