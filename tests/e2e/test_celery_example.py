"""The example that was written for Celery, run by a real worker as its README says."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from millrace import Millrace
from millrace.testing.contracts.eventually import eventually
from tests.support.running import Running, running

EXAMPLE = Path(__file__).parents[2] / "examples" / "celery"
SECONDS = 60.0
PRINTED = """add 5 SUCCESS
fetch {'url': 'example.org', 'retries': 1}
chain 13
group [0, 2, 4, 6, 8]
chord 20
thumbnail logo.small.png
report None
unreachable never there FAILURE after 1 retry
revoked REVOKED
"""


@pytest.fixture
async def service(fresh_database_url: str, rabbitmq_url: str) -> AsyncIterator[Running]:
    async with running(fresh_database_url, rabbitmq_url) as service:
        yield service


@asynccontextmanager
async def worker_at(url: str) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "millrace.cli.main", "worker", "tasks:app", "--grace", "1"),
        cwd=EXAMPLE,
        env={**os.environ, "MILLRACE_URL": url},
    )
    try:
        yield
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), SECONDS)


@pytest.mark.parametrize("carrier", ["http", "amqp"])
async def test_an_application_written_for_celery_runs(service: Running, rabbitmq_url: str, carrier: str) -> None:
    url = service.url if carrier == "http" else rabbitmq_url
    async with worker_at(url), Millrace(url) as app:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "call.py",
            cwd=EXAMPLE,
            env={**os.environ, "MILLRACE_URL": url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await asyncio.wait_for(process.communicate(), SECONDS)
        assert (process.returncode, out.decode()) == (0, PRINTED)
        schedules = {each.name: each for each in await app.jobs.schedules.list()}
        assert (schedules["nightly"].cron, schedules["nightly"].timezone) == ("0 3 * * *", "Europe/Berlin")
        assert schedules["nightly"].job["data"] == {"kind": "daily"}
        assert (schedules["hourly"].every, schedules["hourly"].job["data"]) == (3_600, {"kind": "hourly"})
        media = await eventually(lambda: app.queues.get("media"), lambda queue: queue and queue.per_name)
        assert media is not None
        rate = media.per_name["tasks.thumbnail"].rate
        assert rate is not None
        assert (rate.limit, rate.period, rate.burst) == (600, 60, 1)
        [thumbnail] = await app.jobs.list(name="tasks.thumbnail")
        assert (thumbnail.queue, thumbnail.data) == ("media", {"path": "logo.png"})
        [urgent] = await app.jobs.list(name="tasks.fetch")
        assert (urgent.priority, urgent.attempts, urgent.max_attempts) == (9, 2, 4)
