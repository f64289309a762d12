"""Several schedulers on one store start each run once."""

from __future__ import annotations

from datetime import timedelta

import asyncpg

from adapters.postgres.due_schedules import DUE, NEXT_IN
from domain import schedule_events
from domain.ports import Append, Metadata
from tests.support.eventually import eventually
from tests.support.schedules import (
    each_run_has_one_job,
    enqueued_jobs,
    minutes_ago,
    of_type,
    processes,
    schedule,
    stream,
    times,
)
from tests.support.stores import storing
from tests.support.systems import TENANT, told


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
    dsn = fresh_database_url
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
    dsn = fresh_database_url
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
