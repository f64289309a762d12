"""Several processes that all run the scheduler, some of which are killed or frozen again and again."""

from __future__ import annotations

import asyncio
import signal
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from millrace import Millrace
from millrace.contracts.schedule import Schedule
from tests.faults.harness.bench import Bench
from tests.faults.harness.clock import Clock, unavailable
from tests.faults.harness.processes import Service
from tests.faults.harness.waiting import until

SCHEDULES = 30
FAULTS = 8
HOUR = 3_600.0


async def runs(client: Millrace) -> list[Schedule]:
    return await client.jobs.schedules.list(limit=100)


async def test_schedulers_that_are_killed_and_frozen_start_each_run_once_and_miss_none(
    run: Bench, fresh_database_url: str
) -> None:
    # Those that begin lead everything. The last one answers the client and is left alone.
    services = []
    for n in (1, 2, 3):
        services.append(await run.start(Service(run.folder, name=f"service-{n}", database=fresh_database_url)))
        await services[-1].ready()
    async with Millrace(services[-1].url) as client:
        for number in range(SCHEDULES):
            await client.jobs.schedules.create(f"s-{number}", "tick", every=1, missed="all", catch_up=1_000)
        for _ in range(FAULTS):
            victim = run.random.choice(services[:-1])
            before = max(each.runs for each in await runs(client))
            if run.random.random() < 0.5:
                await run.kill(victim)
                await passed(client, before + 1)
                await victim.start()
            else:
                victim.send(signal.SIGSTOP)
                run.history.fault("SIGSTOP", server=victim.name)
                await passed(client, before + 2)
                victim.send(signal.SIGCONT)
        await asyncio.gather(*(service.ready() for service in services))
        for number in range(SCHEDULES):
            await client.jobs.schedules.pause(f"s-{number}")
        await until(lambda: all_enqueued(run, client), 20, "every run has its job")
        log = await run.log(client)
    assert wrong(log) == [], f"seed {run.seed}"


@pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))
async def test_schedulers_whose_clocks_are_wrong_and_jump_start_runs_by_the_database_s(
    run: Bench, fresh_database_url: str
) -> None:
    clocks = [Clock(run.folder, f"clock-{n}") for n in (1, 2)]
    services = [
        await run.start(Service(run.folder, name=f"service-{n}", database=fresh_database_url, extra=clock.environment))
        for n, clock in enumerate(clocks, 1)
    ]
    try:
        clocks[0].step(HOUR)
        clocks[1].step(-HOUR)
        for service in services:
            await service.ready()
        async with Millrace(services[0].url) as client:
            for number in range(SCHEDULES):
                await client.jobs.schedules.create(f"s-{number}", "tick", every=1, missed="all", catch_up=1_000)
            for seconds in (-3 * HOUR, 2 * HOUR, HOUR):
                await passed(client, max(each.runs for each in await runs(client)) + 2)
                for clock in clocks:
                    clock.step(seconds)
            for number in range(SCHEDULES):
                await client.jobs.schedules.pause(f"s-{number}")
            await until(lambda: all_enqueued(run, client), 20, "every run has its job")
            log = await run.log(client)
        assert wrong(log) == []
        assert await started_early(fresh_database_url) == 0
    finally:
        await run.close()
        for clock in clocks:
            clock.close()


async def started_early(database: str) -> int:
    """How many runs were recorded before they were due, by the clock of the database."""
    connection = await asyncpg.connect(database)
    try:
        early = "(convert_from(state, 'UTF8')::json ->> 'due_at')::timestamptz > recorded_at"
        count: int = await connection.fetchval(
            f"SELECT count(*) FROM stored_events WHERE topic = 'schedule.fired' AND {early}"
        )
        return count
    finally:
        await connection.close()


async def passed(client: Millrace, count: int) -> None:
    """Returns when every schedule has had that many runs."""

    async def all_have() -> bool:
        return all(each.runs >= count for each in await runs(client))

    await until(all_have, 40, f"{count} runs of each schedule")


async def all_enqueued(run: Bench, client: Millrace) -> bool:
    types = [event["eventtype"] for event in await run.log(client)]
    return types.count("job.enqueued") >= types.count("schedule.fired")


def wrong(log: list[dict[str, Any]]) -> list[str]:
    """Due times that were left out or came twice, and runs without exactly one job."""
    found: list[str] = []
    due: dict[str, list[datetime]] = {}
    wanted: list[str] = []
    for event in log:
        if event["eventtype"] == "schedule.fired":
            due.setdefault(event["subject"], []).append(datetime.fromisoformat(event["data"]["due_at"]))
            wanted.append(event["data"]["job_id"])
        elif event["eventtype"] == "schedule.skipped":
            found.append(f"{event['subject']} skipped {event['data']}")
    for name, times in due.items():
        expected = [times[0] + timedelta(seconds=step) for step in range(len(times))]
        if times != expected:
            found.append(f"{name} ran at {times}")
    jobs = [event["subject"] for event in log if event["eventtype"] == "job.enqueued"]
    if sorted(jobs) != sorted(wanted):
        found.append(f"{len(wanted)} runs have {len(jobs)} jobs, {len(set(jobs))} of them different")
    return found


def test_the_checker_finds_what_is_wrong() -> None:
    def fired(second: int, job: str) -> dict[str, Any]:
        due = f"2026-01-01T00:00:{second:02}Z"
        return {"eventtype": "schedule.fired", "subject": "s", "data": {"due_at": due, "job_id": job}}

    def enqueued(job: str) -> dict[str, Any]:
        return {"eventtype": "job.enqueued", "subject": job, "data": {}}

    good = [fired(1, "a"), enqueued("a"), fired(2, "b"), enqueued("b")]
    assert wrong(good) == []
    assert wrong([*good, fired(2, "c"), enqueued("c")])
    assert wrong([*good, fired(4, "c"), enqueued("c")])
    assert wrong([*good, enqueued("b")])
    assert wrong(good[:-1])
