"""The examples in plain aio-pika, run as their README says, against a running service."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.eventually import eventually
from tests.support.running import Running, running

EXAMPLES = Path(__file__).parents[2] / "examples" / "amqp"
SECONDS = 30.0


@pytest.fixture
async def service(fresh_database_url: str, rabbitmq_url: str) -> AsyncIterator[Running]:
    async with running(fresh_database_url, rabbitmq_url) as service:
        yield service


async def example(url: str, program: str, *arguments: str) -> tuple[int, str, str]:
    """Runs an example outside of the checkout, as somebody would who has nothing but aio-pika."""
    environment = {"PATH": os.environ["PATH"], "RABBITMQ_URL": url}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLES / program),
        *arguments,
        cwd="/",
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), SECONDS)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_the_publisher_prints_the_reply_and_the_query_lists_the_job(service: Running, rabbitmq_url: str) -> None:
    code, out, err = await example(rabbitmq_url, "publisher.py", "transcribe")
    reply = json.loads(out)
    assert (code, err, reply["ok"], reply["result"]["status"]) == (0, "", True, "pending")
    code, out, err = await eventually(lambda: example(rabbitmq_url, "query.py"), lambda ran: ran[1])
    assert (code, err) == (0, "")
    assert out.split() == [reply["result"]["job_id"], "pending", "transcribe"]
    assert await example(rabbitmq_url, "query.py", "completed") == (0, "", "")


async def test_the_query_prints_a_refusal(service: Running, rabbitmq_url: str) -> None:
    code, out, err = await example(rabbitmq_url, "query.py", "unheard-of")
    assert (code, out, json.loads(err)["code"]) == (1, "", "invalid")


async def test_the_subscriber_prints_events_in_order_and_goes_on_where_it_was(
    service: Running, rabbitmq_url: str
) -> None:
    name = f"example-{uuid4().hex[:8]}"
    jobs = []
    for _ in range(3):
        _, out, _ = await example(rabbitmq_url, "publisher.py", "transcribe")
        jobs.append(json.loads(out)["result"]["job_id"])
    code, out, err = await example(rabbitmq_url, "subscriber.py", name, "job.#", "2")
    assert (code, err) == (0, "")
    seen = [line.split() for line in out.splitlines()]
    assert [(kind, subject) for _, kind, subject in seen] == [("millrace.job.enqueued.v5", job) for job in jobs[:2]]
    code, out, err = await example(rabbitmq_url, "subscriber.py", name, "job.#", "1")
    assert (code, err) == (0, "")
    assert [line.split()[2] for line in out.splitlines()] == jobs[2:]
