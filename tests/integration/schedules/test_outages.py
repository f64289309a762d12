"""What becomes of runs that were due while nothing ran."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.support.eventually import eventually
from tests.support.schedules import (
    MINUTE,
    database_time,
    due_since,
    each_run_has_one_job,
    minutes_ago,
    of_type,
    processes,
    schedule,
    times,
)
from tests.support.systems import claimed, reported, system, told


async def test_skip_drops_what_an_outage_made_late(fresh_database_url: str) -> None:
    dsn = fresh_database_url
    first = await minutes_ago(dsn, 7)
    await due_since(dsn, "s", first, missed="skip", grace=0.0)
    async with system(dsn) as running:
        [gone] = await eventually(lambda: of_type(running, "s", "skipped"))
        assert (gone["first_due_at"], gone["reason"]) == (first, "missed")
        assert gone["last_due_at"] >= first + 7 * MINUTE
        assert gone["next_due_at"] == gone["last_due_at"] + MINUTE
        assert await of_type(running, "s", "fired") == []


async def test_one_makes_up_for_an_outage_with_the_newest_run(fresh_database_url: str) -> None:
    dsn = fresh_database_url
    first = await minutes_ago(dsn, 7)
    await due_since(dsn, "s", first, missed="one")
    async with system(dsn) as running:
        [run, *_] = await eventually(lambda: of_type(running, "s", "fired"))
        [gone] = await of_type(running, "s", "skipped")
        assert (gone["first_due_at"], gone["last_due_at"]) == (first, run["due_at"] - MINUTE)
        assert run["due_at"] >= first + 7 * MINUTE
        await each_run_has_one_job(running, "s")


async def test_all_makes_up_for_an_outage_with_every_run(fresh_database_url: str) -> None:
    dsn = fresh_database_url
    first = await minutes_ago(dsn, 7)
    await due_since(dsn, "s", first, missed="all")
    async with processes(dsn, 2) as running:
        found = await eventually(lambda: of_type(running[0], "s", "fired"), lambda runs: len(runs) >= 8)
        assert times(found) == [first + step * MINUTE for step in range(len(found))]
        await each_run_has_one_job(running[0], "s")


async def test_all_is_bounded_and_says_what_it_leaves_out(fresh_database_url: str) -> None:
    dsn = fresh_database_url
    first = await minutes_ago(dsn, 60 * 24 * 365)
    await due_since(dsn, "s", first, missed="all", catch_up=3)
    async with system(dsn) as running:
        found = await eventually(lambda: of_type(running, "s", "fired"), lambda runs: len(runs) >= 3)
        [gone] = await of_type(running, "s", "skipped")
        assert (gone["first_due_at"], gone["last_due_at"]) == (first, found[0]["due_at"] - MINUTE)
        assert times(found[:3]) == [found[0]["due_at"] + step * MINUTE for step in range(3)]


async def test_queued_runs_of_an_outage_follow_one_another(fresh_database_url: str) -> None:
    dsn = fresh_database_url
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
        # On a slow machine runs may have been skipped before the outage, too.
        gone = [each for each in await of_type(running, "s", "skipped") if each["first_due_at"] > before]
        if missed == "all":
            assert gone == []
            assert runs == [before + timedelta(seconds=step) for step in range(1, len(runs) + 1)]
        else:
            assert gone[0]["first_due_at"] == before + timedelta(seconds=1)
        await each_run_has_one_job(running, "s")
