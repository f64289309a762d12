"""`millrace circuits` against the running service."""

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


async def circuits(service: Running, *arguments: str) -> tuple[int, str]:
    """The exit code and what was said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "millrace.cli.main", "circuits", *arguments),
        env={**os.environ, "MILLRACE_URL": service.url}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return process.returncode, out.decode()


async def test_circuits_are_configured_shown_and_reset(service: Running) -> None:
    code, out = await circuits(service, "configure", "charge", '{"failures": 5, "pause": 30}')
    assert (code, out) == (0, 'charge has the circuit breaker {"failures": 5, "pause": 30}\n')
    code, out = await circuits(service, "--json")
    told = json.loads(out)
    assert (code, told["name"], told["state"], told["policy"]["failures"]) == (0, "charge", "closed", 5)
    code, out = await circuits(service)
    [line] = [line for line in out.splitlines() if "charge" in line]
    assert line.split() == ["charge", "closed", "0"]
    assert await circuits(service, "reset", "charge", "--reason", "mended") == (0, "the circuit of charge is closed\n")
    async with Millrace(service.url) as app:
        assert [each.eventtype for each in await app.history("circuit", "charge")] == ["circuit.configured"]


async def test_what_cannot_be_done_is_one_line(service: Running) -> None:
    code, out = await circuits(service, "configure", "charge", '{"window": 5}')
    assert (code, out.count("\n")) == (1, 1)
    assert "never opens" in out
    code, out = await circuits(service, "reset", "missing")
    assert (code, out.count("\n")) == (1, 1)
