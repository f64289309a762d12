"""Schedules on a real store: what is in the log about them, and how an outage leaves them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from domain import schedule as domain
from domain import schedule_events
from domain.ports import Append, Appended, Metadata, StreamName
from infra.bootstrap import System
from tests.support.eventually import eventually
from tests.support.stores import storing
from tests.support.systems import TENANT, asked, system

MINUTE = timedelta(minutes=1)


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
