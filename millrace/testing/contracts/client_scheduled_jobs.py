"""The jobs that schedules start: how they are declared, and what their handlers are told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from millrace import Invalid, Job, JobContext
from millrace.contracts.job_fields import SCHEDULED_FOR
from millrace.testing.contracts.bench import Bench, seen, working
from millrace.testing.contracts.client_schedules import found, jobs_of


class ScheduledJobsContract:
    async def test_the_data_of_a_scheduled_job_is_bounded(self, bench: Bench) -> None:
        with pytest.raises(Invalid, match="65536"):
            await bench.app.jobs.schedules.create("s", "n", {"text": "x" * 70_000}, cron="@daily")

    async def test_a_declared_schedule_runs_its_job_once_a_worker_has_started(self, bench: Bench) -> None:
        @bench.app.cron("0 3 * * *", timezone="Europe/Berlin", data={"n": 1})
        @bench.app.job(queue="night")
        async def nightly(n: int) -> None: ...

        @bench.app.every(60, name="often", overlap="skip")
        def frequent() -> None: ...

        async def names() -> list[str]:
            return [each.name for each in await bench.app.jobs.schedules.list()]

        async with working(bench.app):
            await bench.until(names, lambda names: names == ["nightly", "often"])
        declared = await found(bench, "nightly")
        assert (declared.cron, declared.timezone) == ("0 3 * * *", "Europe/Berlin")
        assert declared.job == {"name": "nightly", "data": {"n": 1}, "queue": "night"}
        assert ((await found(bench, "often")).every, (await found(bench, "often")).job["name"]) == (60, "frequent")

    async def test_a_declaration_that_cannot_be_is_refused_at_once(self, bench: Bench) -> None:
        with pytest.raises(ValueError, match="five fields"):
            bench.app.cron("nightly")(lambda: None)
        with pytest.raises(ValueError, match="IANA"):
            bench.app.cron("@daily", timezone="Mars/Olympus")(lambda: None)

        @bench.app.cron("@daily")
        def report() -> None: ...

        with pytest.raises(ValueError, match="two schedules"):
            bench.app.every(5, name="report")(report)

    async def test_a_handler_is_told_for_which_time_it_runs(self, bench: Bench) -> None:
        told: list[datetime | None] = []

        @bench.app.job
        async def report(job: JobContext, kind: str) -> None:
            assert job.data == {"kind": kind}
            told.append(job.scheduled_for)

        start = bench.now() + timedelta(seconds=1)
        await bench.app.jobs.schedules.create("s", "report", {"kind": "daily"}, every=3_600, starts_at=start)

        async def started() -> list[Job]:
            return await jobs_of(bench, "report")

        (run,) = await bench.until(started, bool)
        await bench.run(run, await bench.app.jobs.enqueue("report", {"kind": "by hand"}))
        assert told == [start, None]
        assert run.data == {"kind": "daily", SCHEDULED_FOR: start.astimezone(UTC).isoformat()}

    async def test_a_schedule_says_of_which_version_its_arguments_are(self, bench: Bench) -> None:
        told = []

        @bench.app.job(version=2, upcast={1: lambda data: {"kinds": [data["kind"]]}})
        async def report(kinds: list[str]) -> None:
            told.append(kinds)

        schedules = bench.app.jobs.schedules
        await schedules.create("new", "report", {"kinds": ["daily"]}, cron="0 3 1 1 *")
        await schedules.create("old", "report", {"kind": "weekly", "$version": 1}, cron="0 3 1 1 *")
        assert (await found(bench, "new")).job["data"] == {"kinds": ["daily"], "$version": 2}
        ids = [await schedules.trigger(name) for name in ("new", "old")]
        runs = [await seen(bench.app, job_id) for job_id in ids]
        await bench.run(*runs)
        assert told == [["daily"], ["weekly"]]
        assert [(run.data["$version"], SCHEDULED_FOR in run.data) for run in runs] == [(2, True), (1, True)]
