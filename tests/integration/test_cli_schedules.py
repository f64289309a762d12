"""`millrace schedules` against a running service."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from millrace import Millrace
from millrace.ids import uuid7
from tests.support.service import running_service

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[Millrace]:
    async with running_service(database_url) as service, Millrace(service.http, tenant=f"t-{uuid7()}") as app:
        yield app


async def command(app: Millrace, *arguments: str, code: int = 0) -> str:
    """What `millrace schedules …` prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "millrace.cli.main", "schedules", *arguments),
        cwd=CHECKOUT,
        env={**os.environ, "MILLRACE_URL": app.settings.url, "MILLRACE_TENANT": app.settings.tenant, "TZ": "UTC"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    assert process.returncode == code, output.decode()
    return output.decode()


async def test_schedules_are_listed_and_steered(app: Millrace) -> None:
    await app.jobs.schedules.create("nightly", "report", cron="30 2 * * *", timezone="Europe/Berlin")
    await app.jobs.schedules.create("often", "ping", every=90)
    await app.jobs.schedules.get("often")
    listed = [line.split() for line in (await command(app)).splitlines() if line.strip().strip("─")]
    assert [line[0] for line in listed] == ["name", "nightly", "often"]
    assert listed[1][1:8] == ["30", "2", "*", "*", "*", "Europe/Berlin", "report"]
    assert listed[2][1:6] == ["every", "90", "s", "UTC", "ping"]
    assert [json.loads(line)["name"] for line in (await command(app, "list", "--json")).splitlines()] == [
        "nightly",
        "often",
    ]
    following = (await command(app, "next", "nightly", "--count", "3")).splitlines()
    assert len(following) == 3
    assert all(line.endswith(" Europe/Berlin") for line in following)
    assert await command(app, "pause", "nightly") == "nightly is paused\n"
    assert await command(app, "next", "nightly") == "paused\n"
    job_id = (await command(app, "trigger", "nightly")).strip()
    job = await app.jobs.get(job_id)
    assert job is not None
    assert job.name == "report"
    assert (await command(app, "resume", "nightly")).startswith("nightly is due 2")
    assert await command(app, "remove", "often") == "often is removed\n"
    assert await app.jobs.schedules.get("often") is None


async def test_a_schedule_that_is_not_there_is_one_line(app: Millrace) -> None:
    told = await command(app, "pause", "nobody", code=1)
    assert told.startswith("millrace: ")
    assert "nobody" in told
    assert told.count("\n") == 1
