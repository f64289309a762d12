"""Schedules are made, changed and read; settings of the service; snapshots and replay."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.postgres.mapper import EventMapper
from domain import schedule as domain
from infra.bootstrap import build
from infra.composition import Role
from infra.maintenance import rebuild_read_model
from infra.settings import Settings
from tests.support.eventually import eventually
from tests.support.schedules import due_since, minutes_ago, of_type, schedule, stream
from tests.support.stores import storing
from tests.support.systems import answered, asked, claimed, context, enqueued, reported, system, told


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
    dsn = fresh_database_url
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
    dsn = fresh_database_url
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
        reply = await answered(running, "schedule.list", {}, context())
        rebuilt = await rebuild_read_model(fresh_database_url, "schedules", lambda done, total: None, True)
        assert rebuilt.equal
        assert await answered(running, "schedule.list", {}, context()) == reply
