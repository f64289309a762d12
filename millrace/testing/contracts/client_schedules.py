"""Schedules: what they are told, when they are due, and the jobs that they start."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from millrace import Invalid, Job, JobStatus, NotFound
from millrace.contracts.job_fields import SCHEDULED_FOR
from millrace.contracts.schedule import Schedule
from millrace.testing.contracts.bench import Bench, claim, seen


async def found(bench: Bench, name: str) -> Schedule:
    schedule = await bench.app.jobs.schedules.get(name)
    assert schedule is not None
    return schedule


async def jobs_of(bench: Bench, name: str) -> list[Job]:
    """The jobs of that name, oldest first."""
    return (await bench.app.jobs.list(name=name))[::-1]


class SchedulesContract:
    async def test_a_schedule_is_created_once_and_changed_afterwards(self, bench: Bench) -> None:
        schedules = bench.app.jobs.schedules
        settings: dict[str, Any] = {"cron": "0 3 * * *", "timezone": "Europe/Berlin", "queue": "night", "retry": "none"}
        due = await schedules.create("nightly", "report", {"n": 1}, **settings)
        assert due is not None
        assert due > bench.now()
        assert await schedules.create("nightly", "report", {"n": 1}, **settings) == due
        created = await found(bench, "nightly")
        assert (created.cron, created.timezone, created.next_due_at) == ("0 3 * * *", "Europe/Berlin", due)
        assert created.job == {"name": "report", "data": {"n": 1}, "queue": "night", "retry": {"kind": "none"}}
        assert (created.missed, created.grace, created.catch_up, created.overlap) == ("one", 60, 100, "allow")
        assert (created.paused, created.runs, created.last_due_at, created.last_job_id) == (False, 0, None, None)
        assert len(await bench.app.history("schedule", "nightly")) == 1
        await schedules.create("nightly", "report", {"n": 2}, **settings)
        assert (await found(bench, "nightly")).job["data"] == {"n": 2}
        history = await bench.app.history("schedule", "nightly")
        assert [event.eventtype for event in history] == ["schedule.created", "schedule.changed"]

    async def test_nicknames_and_the_zone_of_the_service_are_spelled_out(self, bench: Bench) -> None:
        await bench.app.jobs.schedules.create("s", "n", cron="@daily")
        assert ((await found(bench, "s")).cron, (await found(bench, "s")).timezone) == ("0 0 * * *", "UTC")

    async def test_what_is_given_is_changed_and_the_rest_stays(self, bench: Bench) -> None:
        schedules = bench.app.jobs.schedules
        end = bench.now() + timedelta(days=400)
        await schedules.create("s", "n", {"a": 1}, cron="0 3 * * *", ends_at=end, overlap="skip")
        await schedules.change("s", every=90, missed="all")
        changed = await found(bench, "s")
        assert (changed.cron, changed.every, changed.missed, changed.overlap) == (None, 90, "all", "skip")
        assert (changed.job["data"], changed.ends_at) == ({"a": 1}, end)
        await schedules.change("s", cron="5 * * * *", ends_at=None)
        changed = await found(bench, "s")
        assert (changed.cron, changed.every, changed.ends_at) == ("5 * * * *", None, None)
        with pytest.raises(Invalid, match="missed"):
            await schedules.change("s", missed=None)

    async def test_the_next_runs_are_shown_in_utc_and_by_the_schedule_s_clock(self, bench: Bench) -> None:
        schedules = bench.app.jobs.schedules
        await schedules.create(
            "s", "n", cron="30 2 * * *", timezone="Europe/Berlin", starts_at=datetime(2100, 3, 27, tzinfo=UTC)
        )
        shown = await schedules.next("s", 3)
        # The clocks of 2100-03-28 skip 02:30.
        assert [due.isoformat() for due in shown.next] == [
            "2100-03-27T01:30:00+00:00",
            "2100-03-28T01:00:00+00:00",
            "2100-03-29T00:30:00+00:00",
        ]
        assert shown.local[1] == "2100-03-28T03:00:00+02:00"
        await schedules.change("s", ends_at=datetime(2100, 3, 28, tzinfo=UTC))
        assert len((await schedules.next("s")).next) == 1

    async def test_every_due_time_starts_one_job(self, bench: Bench) -> None:
        schedules = bench.app.jobs.schedules
        first = await schedules.create("s", "tick", {"n": 1}, every=1, queue="fast", priority=7)
        assert first is not None
        schedule = await bench.until(lambda: found(bench, "s"), lambda it: it.runs >= 3)
        await schedules.pause("s")
        jobs = await bench.until(lambda: jobs_of(bench, "tick"), lambda jobs: len(jobs) >= schedule.runs)
        assert {(job.data["n"], job.queue, job.priority, job.status) for job in jobs} == {(1, "fast", 7, "pending")}
        fired = [event for event in await bench.app.history("schedule", "s") if event.eventtype == "schedule.fired"]
        assert [datetime.fromisoformat(event.data["due_at"]) for event in fired] == [
            first + timedelta(seconds=n) for n in range(len(fired))
        ]
        assert {event.data["job_id"] for event in fired} == {job.id for job in jobs}
        causes = [event.eventtype for event in await bench.app.why(jobs[0].id)]
        assert causes == ["schedule.fired", "job.enqueued"]

    async def test_a_pause_has_nothing_due_and_is_not_made_up_for(self, bench: Bench) -> None:
        schedules = bench.app.jobs.schedules
        await schedules.create("s", "tick", every=1, missed="all")
        await schedules.pause("s")
        await schedules.pause("s")
        paused = await found(bench, "s")
        assert (paused.paused, paused.next_due_at, (await schedules.next("s")).next) == (True, None, ())
        assert [each.name for each in await schedules.list(paused=True)] == ["s"]
        runs = paused.runs
        later = bench.now() + timedelta(seconds=3)

        async def now() -> datetime:
            return bench.now()

        await bench.until(now, lambda now: now > later)
        due = await schedules.resume("s")
        assert due is not None
        assert due > later
        fired = await bench.until(lambda: found(bench, "s"), lambda it: it.runs > runs)
        assert fired.last_due_at is not None
        assert fired.last_due_at >= due
        history = [event.eventtype for event in await bench.app.history("schedule", "s")]
        assert "schedule.skipped" not in history

    async def test_a_schedule_ends_with_its_last_due_time(self, bench: Bench) -> None:
        start = bench.now() + timedelta(seconds=2)
        await bench.app.jobs.schedules.create(
            "s", "n", every=1, starts_at=start, ends_at=start + timedelta(seconds=1.5), missed="all"
        )
        ended = await bench.until(lambda: found(bench, "s"), lambda it: it.next_due_at is None)
        assert (ended.runs, ended.last_due_at) == (2, start + timedelta(seconds=1))

    async def test_a_run_that_would_overlap_is_dropped(self, bench: Bench) -> None:
        await bench.app.jobs.schedules.create("s", "slow", every=1, overlap="skip")

        async def skipped() -> list[str]:
            return [event.eventtype for event in await bench.app.history("schedule", "s")]

        history = await bench.until(skipped, lambda types: types.count("schedule.skipped") >= 2)
        assert history[:4] == ["schedule.created", "schedule.fired", "schedule.skipped", "schedule.skipped"]
        [grant] = await claim(bench.app)
        report = {"job_id": grant["job_id"], "attempt": grant["attempt"], "outcome": "completed"}
        await bench.app.execute("job.report", report)
        await bench.until(lambda: found(bench, "s"), lambda it: it.runs == 2)

    async def test_a_run_that_would_overlap_waits(self, bench: Bench) -> None:
        await bench.app.jobs.schedules.create("s", "slow", every=1, overlap="queue")
        first = await bench.until(lambda: found(bench, "s"), lambda it: it.runs == 1)
        assert first.next_due_at is not None
        due = first.next_due_at + timedelta(seconds=1)

        async def now() -> datetime:
            return bench.now()

        await bench.until(now, lambda now: now > due)
        waiting = await found(bench, "s")
        assert (waiting.runs, waiting.next_due_at) == (1, first.next_due_at)
        [grant] = await claim(bench.app)
        report = {"job_id": grant["job_id"], "attempt": grant["attempt"], "outcome": "completed"}
        await bench.app.execute("job.report", report)
        second = await bench.until(lambda: found(bench, "s"), lambda it: it.runs == 2)
        assert second.last_job_id != first.last_job_id

    async def test_a_run_that_would_overlap_replaces_the_one_before(self, bench: Bench) -> None:
        await bench.app.jobs.schedules.create("s", "slow", every=1, overlap="replace")
        await bench.until(lambda: found(bench, "s"), lambda it: it.runs >= 2)
        await bench.app.jobs.schedules.pause("s")
        runs = (await found(bench, "s")).runs

        async def statuses() -> list[JobStatus]:
            return [job.status for job in await jobs_of(bench, "slow")]

        expected = [JobStatus.CANCELLED] * (runs - 1) + [JobStatus.PENDING]
        assert await bench.until(statuses, lambda found: found == expected) == expected

    async def test_a_run_is_started_by_hand(self, bench: Bench) -> None:
        schedules = bench.app.jobs.schedules
        due = await schedules.create("s", "n", {"a": 1}, cron="0 3 1 1 *")
        await schedules.pause("s")
        job_id = await schedules.trigger("s")
        job = await seen(bench.app, job_id)
        assert (job.name, job.status) == ("n", "pending")
        assert job.data.keys() == {"a", SCHEDULED_FOR}
        assert job.data["a"] == 1
        after = await found(bench, "s")
        assert (after.paused, after.runs, after.last_job_id, after.last_due_at) == (True, 1, job_id, None)
        assert await schedules.resume("s") == due
        assert await schedules.trigger("s") != job_id

    async def test_a_schedule_is_removed_and_may_begin_anew(self, bench: Bench) -> None:
        schedules = bench.app.jobs.schedules
        await schedules.create("s", "n", cron="@daily")
        await schedules.trigger("s")
        await schedules.remove("s")
        await schedules.remove("s")
        assert (await schedules.get("s"), await schedules.list()) == (None, [])
        for act in (schedules.pause, schedules.resume, schedules.trigger, schedules.next):
            with pytest.raises(NotFound):
                await act("s")
        await schedules.create("s", "m", cron="@hourly")
        assert ((await found(bench, "s")).job["name"], (await found(bench, "s")).runs) == ("m", 0)

    async def test_schedules_are_listed_by_name_in_pages(self, bench: Bench) -> None:
        schedules = bench.app.jobs.schedules
        for name in ("c", "a", "b"):
            await schedules.create(name, "n", cron="@daily")
        await found(bench, "b")
        page = await schedules.page(limit=2)
        assert [each.name for each in page.schedules] == ["a", "b"]
        assert [each.name for each in (await schedules.page(limit=2, cursor=page.cursor)).schedules] == ["c"]
        assert [each.name async for each in schedules.iterate(limit=1)] == ["a", "b", "c"]

    async def test_what_is_named_must_exist(self, bench: Bench) -> None:
        schedules = bench.app.jobs.schedules
        assert await schedules.get("nobody") is None
        for act in (schedules.pause, schedules.resume, schedules.remove, schedules.trigger, schedules.next):
            with pytest.raises(NotFound):
                await act("nobody")
        with pytest.raises(NotFound):
            await schedules.change("nobody", every=5)

    async def test_another_tenant_s_schedule_does_not_exist(self, bench: Bench) -> None:
        await bench.app.jobs.schedules.create("s", "n", cron="@daily")
        async with bench.other("somebody-else") as other:
            assert (await other.jobs.schedules.get("s"), await other.jobs.schedules.list()) == (None, [])
            with pytest.raises(NotFound):
                await other.jobs.schedules.pause("s")

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({}, "either `cron` or `every`"),
            ({"cron": "@daily", "every": 5}, "either `cron` or `every`"),
            ({"cron": "61 * * * *"}, "minute"),
            ({"cron": "* * * *"}, "five fields"),
            ({"cron": "* * * * * *"}, "five fields"),
            ({"cron": "0 0 30 2 *"}, "day-of-month"),
            ({"cron": "@fortnightly"}, "nickname"),
            ({"every": 0.5}, "every"),
            ({"cron": "@daily", "timezone": "Europe/Atlantis"}, "IANA"),
            ({"cron": "@daily", "timezone": "../etc/passwd"}, "IANA"),
            ({"cron": "@daily", "missed": "some"}, "missed"),
            ({"cron": "@daily", "overlap": "maybe"}, "overlap"),
            ({"cron": "@daily", "catch_up": 0}, "catch_up"),
            (
                {
                    "cron": "@daily",
                    "starts_at": datetime(2031, 1, 2, tzinfo=UTC),
                    "ends_at": datetime(2031, 1, 1, tzinfo=UTC),
                },
                "ends_at",
            ),
        ],
    )
    async def test_settings_that_do_not_fit_are_refused(
        self, bench: Bench, settings: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(Invalid, match=message):
            await bench.app.jobs.schedules.create("s", "n", **settings)
        assert await bench.app.jobs.schedules.get("s") is None

    async def test_a_time_needs_a_zone(self, bench: Bench) -> None:
        with pytest.raises(ValueError, match="zone"):
            await bench.app.jobs.schedules.create("s", "n", every=5, starts_at=datetime(2031, 1, 1))
