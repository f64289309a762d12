"""`millrace queues` against the running service."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from millrace import Millrace
from tests.support.running import Running, running


@pytest.fixture
async def service(fresh_database_url: str) -> AsyncIterator[Running]:
    async with running(fresh_database_url) as it:
        yield it


async def queues(service: Running, *arguments: str) -> tuple[int, str]:
    """The exit code and what was said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "millrace.cli.main", "queues", *arguments),
        env={**os.environ, "MILLRACE_URL": service.url}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return process.returncode, out.decode()


async def test_queues_are_shown_limited_paused_and_drained(service: Running) -> None:
    async with Millrace(service.url) as app:
        await app.jobs.enqueue_many({"name": "resize", "queue": "media"} for _ in range(3))
        code, out = await queues(service, "configure", "media", '{"concurrency": 1}', "--json")
        assert (code, json.loads(out)["concurrency"]) == (0, 1)
        assert await queues(service, "pause", "media", "--reason", "the disk is full") == (0, "media is paused\n")
        code, out = await queues(service, "--json")
        told = json.loads(out)
        assert (code, told["name"], told["paused"], told["ready"], told["waiting"]) == (
            0, "media", True, 1, {"capped": 2},
        )  # fmt: skip
        code, out = await queues(service)
        [line] = [line for line in out.splitlines() if line.startswith(" media")]
        assert line.split()[:6] == ["media", "paused", "strict", "1", "2", "capped"]
        assert await queues(service, "resume", "media") == (0, "media goes on\n")
        assert await queues(service, "drain", "media") == (0, "3 job(s) canceled\n")
        assert [event.data for event in await app.history("queue", "media")][2] == {"reason": "the disk is full"}


async def test_what_cannot_be_done_is_one_line(service: Running) -> None:
    assert await queues(service, "show", "missing") == (1, "millrace: there is no queue 'missing'\n")
    code, out = await queues(service, "configure", "media", '{"concurrency": 0}')
    assert (code, out.count("\n")) == (1, 1)
    assert "concurrency" in out
