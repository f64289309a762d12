"""Schedules on a real store: several schedulers, restarts, outages, and crashes between a run and its job."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from adapters.postgres.due_schedules import DUE, NEXT_IN
from adapters.postgres.mapper import EventMapper
from domain import schedule as domain
from domain import schedule_events
from domain.ports import Append, Appended, Metadata, StreamName
from infra.bootstrap import System, build
from infra.composition import Role
from infra.maintenance import rebuild_read_model
from infra.settings import Settings
from tests.support.eventually import eventually
from tests.support.stores import migrated, storing
from tests.support.systems import TENANT, asked, claimed, context, enqueued, job, reported, system, told

MINUTE = timedelta(minutes=1)


@pytest_asyncio.fixture
async def connection(fresh_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(fresh_database_url)
    yield connection
    await connection.close()


def stream(name: str) -> StreamName:
    return StreamName(domain.KIND, TENANT, name)


async def events(running: System, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await asked(running, "log.history", {"kind": "schedule", "id": name}))["events"]
    return found


async def of_type(running: System, name: str, kind: str) -> list[dict[str, Any]]:
    """The data of its events of one kind."""
    return [event["data"] for event in await events(running, name) if event["eventtype"] == f"schedule.{kind}"]


def times(found: Sequence[dict[str, Any]], field: str = "due_at") -> list[datetime]:
    return [each[field] for each in found]


async def schedule(running: System, name: str) -> dict[str, Any]:
    found: dict[str, Any] = (await asked(running, "schedule.get", {"name": name}))["schedule"]
    return found


async def enqueued_jobs(running: System) -> list[str]:
    """The ids in the log, each as often as it was enqueued."""
    rows = await running.storage.pool.fetch("SELECT subject FROM stored_events WHERE topic = 'job.enqueued'")
    return [row["subject"] for row in rows]


async def each_run_has_one_job(running: System, *names: str) -> None:
    """Every run in the log has exactly one job, and there are no others."""
    started = [run["job_id"] for name in names for run in await of_type(running, name, "fired")]
    found = await eventually(lambda: enqueued_jobs(running), lambda jobs: len(jobs) >= len(started))
    assert sorted(found) == sorted(started)
    assert len(set(started)) == len(started)


async def database_time(dsn: str) -> datetime:
    connection = await asyncpg.connect(dsn)
    try:
        now: datetime = await connection.fetchval("SELECT clock_timestamp()")
        return now
    finally:
        await connection.close()


async def due_since(dsn: str, name: str, first: datetime, **changed: Any) -> None:
    """What a service that ended at `first` has left behind: a schedule with runs that nobody started."""
    plan = {
        "cron": "* * * * *", "every": None, "timezone": "Europe/Berlin", "job": {"name": "tick"}, "missed": "one",
        "grace": 60.0, "catch_up": 100, "overlap": "allow", "starts_at": None, "ends_at": None,
    } | changed  # fmt: skip
    made = schedule_events.Created(
        stream(name).text, 1, first - MINUTE, **plan, anchor=first, next_due_at=first, name=name
    )
    async with storing(dsn) as storage:
        (outcome,) = await storage.store.append([Append(stream(name), 0, [made], Metadata(TENANT, "north"))])
    assert isinstance(outcome, Appended)


async def minutes_ago(dsn: str, count: int) -> datetime:
    return (await database_time(dsn)).replace(second=0, microsecond=0) - count * MINUTE


@asynccontextmanager
async def processes(dsn: str, count: int) -> AsyncIterator[list[System]]:
    """That many processes of the service on one database."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(system(dsn)) for _ in range(count)]


# ------------------------------------------------------------------------------------------------ several schedulers


async def test_several_schedulers_start_each_run_once_and_miss_none(fresh_database_url: str) -> None:
    names = [f"s-{number}" for number in range(20)]
    async with processes(fresh_database_url, 3) as running:
        for number, name in enumerate(names):
            body = {"name": name, "every": 1, "missed": "all", "job": {"name": "tick"}}
            await told(running[number % 3], "schedule.create", body)
        for name in names:
            await eventually(lambda name=name: schedule(running[0], name), lambda it: it["runs"] >= 4)  # type: ignore[misc]
        for name in names:
            await told(running[1], "schedule.pause", {"name": name})
        for name in names:
            due = times(await of_type(running[2], name, "fired"))
            assert due == [due[0] + timedelta(seconds=step) for step in range(len(due))]
            assert await of_type(running[2], name, "skipped") == []
        await each_run_has_one_job(running[0], *names)


async def test_a_thousand_schedules_that_are_due_at_once_start_one_job_each(fresh_database_url: str) -> None:
    dsn = await migrated(fresh_database_url)
    first = await minutes_ago(dsn, 1)
    names = [f"s-{number}" for number in range(1_000)]
    appends = []
    for name in names:
        made = schedule_events.Created(
            stream(name).text, 1, first, cron="0 0 1 1 *", every=None, timezone="UTC", job={"name": "tick"},
            missed="one", grace=60.0, catch_up=1, overlap="skip", starts_at=None, ends_at=None, anchor=first,
            next_due_at=first, name=name,
        )  # fmt: skip
        appends.append(Append(stream(name), 0, [made], Metadata(TENANT)))
    async with storing(dsn) as storage:
        await storage.store.append(appends)
    async with processes(dsn, 2) as running:
        found = await eventually(lambda: enqueued_jobs(running[0]), lambda jobs: len(jobs) >= 1_000, 30)
        assert len(found) == len(set(found)) == 1_000
        count = await running[0].storage.pool.fetchval(
            "SELECT count(*) FROM stored_events WHERE topic = 'schedule.fired'"
        )
        assert count == 1_000


async def test_what_is_due_is_found_by_an_index(fresh_database_url: str) -> None:
    dsn = await migrated(fresh_database_url)
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(
            "INSERT INTO schedules_v1 (tenant, name, timezone, job, missed, grace, catch_up, overlap, anchor,"
            " created_at, next_due_at, last_job_id)"
            " SELECT 't', 's-' || n, 'UTC', '{}', 'one', 60, 100, 'queue', now(), now(), now() + interval '1 day', 'j'"
            " FROM generate_series(1, 10000) n"
        )
        await connection.execute("ANALYZE schedules_v1")
        for statement, arguments in ((DUE, [500]), (NEXT_IN, [])):
            plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {statement}", *arguments))
            assert "schedules_v1_due_idx" in plan
            assert "Seq Scan on schedules_v1" not in plan
    finally:
        await connection.close()


# --------------------------------------------------------------------------------------------- outages and restarts


async def test_skip_drops_what_an_outage_made_late(fresh_database_url: str) -> None:
    dsn = await migrated(fresh_database_url)
    first = await minutes_ago(dsn, 7)
    await due_since(dsn, "s", first, missed="skip", grace=0.0)
    async with system(dsn) as running:
        [gone] = await eventually(lambda: of_type(running, "s", "skipped"))
        assert (gone["first_due_at"], gone["reason"]) == (first, "missed")
        assert gone["last_due_at"] >= first + 7 * MINUTE
        assert gone["next_due_at"] == gone["last_due_at"] + MINUTE
        assert await of_type(running, "s", "fired") == []


async def test_one_makes_up_for_an_outage_with_the_newest_run(fresh_database_url: str) -> None:
    dsn = await migrated(fresh_database_url)
    first = await minutes_ago(dsn, 7)
    await due_since(dsn, "s", first, missed="one")
    async with system(dsn) as running:
        [run, *_] = await eventually(lambda: of_type(running, "s", "fired"))
        [gone] = await of_type(running, "s", "skipped")
        assert (gone["first_due_at"], gone["last_due_at"]) == (first, run["due_at"] - MINUTE)
        assert run["due_at"] >= first + 7 * MINUTE
        await each_run_has_one_job(running, "s")


async def test_all_makes_up_for_an_outage_with_every_run(fresh_database_url: str) -> None:
    dsn = await migrated(fresh_database_url)
    first = await minutes_ago(dsn, 7)
    await due_since(dsn, "s", first, missed="all")
    async with processes(dsn, 2) as running:
        found = await eventually(lambda: of_type(running[0], "s", "fired"), lambda runs: len(runs) >= 8)
        assert times(found) == [first + step * MINUTE for step in range(len(found))]
        await each_run_has_one_job(running[0], "s")


async def test_all_is_bounded_and_says_what_it_leaves_out(fresh_database_url: str) -> None:
    dsn = await migrated(fresh_database_url)
    first = await minutes_ago(dsn, 60 * 24 * 365)
    await due_since(dsn, "s", first, missed="all", catch_up=3)
    async with system(dsn) as running:
        found = await eventually(lambda: of_type(running, "s", "fired"), lambda runs: len(runs) >= 3)
        [gone] = await of_type(running, "s", "skipped")
        assert (gone["first_due_at"], gone["last_due_at"]) == (first, found[0]["due_at"] - MINUTE)
        assert times(found[:3]) == [found[0]["due_at"] + step * MINUTE for step in range(3)]


async def test_queued_runs_of_an_outage_follow_one_another(fresh_database_url: str) -> None:
    dsn = await migrated(fresh_database_url)
    first = await minutes_ago(dsn, 2)
    await due_since(dsn, "s", first, missed="all", overlap="queue", ends_at=first + 2 * MINUTE)
    async with system(dsn) as running:
        for count in (1, 2, 3):
            [grant] = await claimed(running, wait=10)
            assert len(await of_type(running, "s", "fired")) == count
            await reported(running, grant)
        ended = await eventually(lambda: schedule(running, "s"), lambda it: it["next_due_at"] is None)
        assert (ended["runs"], ended["last_due_at"]) == (3, first + 2 * MINUTE)


@pytest.mark.parametrize("missed", ["skip", "one", "all"])
async def test_a_restart_goes_on_where_the_service_stopped(fresh_database_url: str, missed: str) -> None:
    body = {"name": "s", "every": 1, "missed": missed, "grace": 0.5, "job": {"name": "tick"}}
    async with system(fresh_database_url) as running:
        await told(running, "schedule.create", body)
        await eventually(lambda: schedule(running, "s"), lambda it: it["runs"] >= 2)
    async with system(fresh_database_url, ["api"]) as running:
        before = times(await of_type(running, "s", "fired"))[-1]
    # The outage is as long as several periods.
    await eventually(lambda: database_time(fresh_database_url), lambda now: now > before + timedelta(seconds=4.2))
    async with system(fresh_database_url) as running:
        await eventually(
            lambda: of_type(running, "s", "fired"), lambda runs: times(runs)[-1] > before + timedelta(seconds=6)
        )
        await told(running, "schedule.pause", {"name": "s"})
        runs = [due for due in times(await of_type(running, "s", "fired")) if due > before]
        outage = [due for due in runs if due <= before + timedelta(seconds=3)]
        assert len(outage) == (3 if missed == "all" else 0)
        gone = await of_type(running, "s", "skipped")
        if missed == "all":
            assert gone == []
            assert runs == [before + timedelta(seconds=step) for step in range(1, len(runs) + 1)]
        else:
            assert gone[0]["first_due_at"] == before + timedelta(seconds=1)
        await each_run_has_one_job(running, "s")


# --------------------------------------------------------------------------------------- between a run and its job


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


# -------------------------------------------------------------------------------------------------------- the rest


async def test_a_job_is_linked_to_its_run_and_keeps_tenant_and_company(fresh_database_url: str) -> None:
    dsn = await migrated(fresh_database_url)
    await due_since(dsn, "s", await minutes_ago(dsn, 0))
    async with system(dsn) as running:
        [job_id, *_] = await eventually(lambda: enqueued_jobs(running))
        told_of = (await asked(running, "log.why", {"id": job_id}))["events"]
        assert [event["eventtype"] for event in told_of] == ["schedule.fired", "job.enqueued"]
        assert {(event["tenant"], event["company"]) for event in told_of} == {(TENANT, "north")}
        assert told_of[1]["causationid"] == told_of[0]["id"]


async def test_jobs_get_the_defaults_that_hold_when_they_are_started(fresh_database_url: str) -> None:
    dsn = await migrated(fresh_database_url)
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


async def test_a_repeated_command_gets_the_same_answer(fresh_database_url: str) -> None:
    roles: Sequence[Role] = ["api", "projector"]
    async with system(fresh_database_url, roles) as running:
        body = {"name": "s", "cron": "@daily", "job": {"name": "tick"}}
        first = await told(running, "schedule.create", body, "m")
        await told(running, "schedule.change", {"name": "s", "cron": "@hourly"})
        assert (await told(running, "schedule.create", body, "m")).position == first.position
        assert (await schedule(running, "s"))["cron"] == "0 * * * *"
        triggered = [(await told(running, "schedule.trigger", {"name": "s"}, "t")).result for _ in range(2)]
        assert triggered[0] == triggered[1]
        assert len(await of_type(running, "s", "fired")) == 1


async def test_the_zone_of_the_service_is_what_its_settings_say(fresh_database_url: str) -> None:
    settings = Settings.model_validate({"modules": {"jobs": {"scheduler": {"timezone": "Asia/Kathmandu"}}}})
    running = await build(settings, fresh_database_url, ["api", "projector"])
    running.start()
    try:
        await told(running, "schedule.create", {"name": "s", "cron": "0 3 * * *", "job": {"name": "tick"}})
        assert (await schedule(running, "s"))["timezone"] == "Asia/Kathmandu"
        [due] = (await asked(running, "schedule.next", {"name": "s", "count": 1}))["next"]
        assert (due.hour, due.minute) == (21, 15)
    finally:
        await running.stop()


async def test_a_service_without_scheduler_starts_no_runs(fresh_database_url: str) -> None:
    dsn = await migrated(fresh_database_url)
    await due_since(dsn, "s", await minutes_ago(dsn, 1))
    settings = Settings.model_validate({"modules": {"jobs": {"scheduler": {"enabled": False}}}})
    running = await build(settings, dsn)
    running.start()
    try:
        # Timers run all the same: a delayed job becomes due, longer after than any scheduler looks.
        await enqueued(running, delay=1.5)
        [grant] = await claimed(running, wait=10)
        await reported(running, grant)
        assert await of_type(running, "s", "fired") == []
    finally:
        await running.stop()


async def test_a_long_stream_is_read_from_a_snapshot(fresh_database_url: str) -> None:
    dsn = await migrated(fresh_database_url)
    await due_since(dsn, "s", await minutes_ago(dsn, 300), missed="all", catch_up=250)
    async with system(dsn) as running:
        await eventually(lambda: of_type(running, "s", "fired"), lambda runs: len(runs) >= 250)
    for _ in range(2):
        async with system(dsn, ["api", "projector"]) as running:
            await told(running, "schedule.change", {"name": "s", "overlap": "skip"})
            await told(running, "schedule.change", {"name": "s", "overlap": "allow"})
    async with storing(dsn, EventMapper()) as storage:
        loaded = (await storage.store.load([stream("s")]))[stream("s")]
        assert isinstance(loaded.snapshot, domain.Schedule)
        assert loaded.snapshot.next_due_at is not None
        assert loaded.snapshot.plan.overlap == "allow"


async def test_the_read_model_equals_a_replay(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as running:
        for number, settings in enumerate(({"every": 1}, {"cron": "@daily"}, {"cron": "@hourly"})):
            await told(running, "schedule.create", {"name": f"s-{number}", "job": {"name": "tick"}, **settings})
        await eventually(lambda: schedule(running, "s-0"), lambda it: it["runs"] >= 2)
        await told(running, "schedule.pause", {"name": "s-0"})
        await told(running, "schedule.trigger", {"name": "s-1"})
        await told(running, "schedule.remove", {"name": "s-2"})
        await told(running, "schedule.create", {"name": "s-2", "job": {"name": "tick"}, "cron": "@hourly"})
        await schedule(running, "s-2")
        reply = await running.gateway.query("schedule.list", {}, context())
        rebuilt = await rebuild_read_model(fresh_database_url, "schedules", lambda done, total: None, True)
        assert rebuilt.equal
        assert await running.gateway.query("schedule.list", {}, context()) == reply
