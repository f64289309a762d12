"""`millrace progress` against a running service."""

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


async def started(
    app: Millrace, *arguments: str, stderr: int = asyncio.subprocess.STDOUT
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "millrace.cli.main", *arguments),
        cwd=CHECKOUT,
        env={**os.environ, "MILLRACE_URL": app.settings.url, "MILLRACE_TENANT": app.settings.tenant, "TZ": "UTC"},
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
    )


async def command(app: Millrace, *arguments: str, code: int = 0) -> str:
    """What `millrace …` prints."""
    process = await started(app, *arguments)
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    assert process.returncode == code, output.decode()
    return output.decode()


async def test_progress_is_listed_shown_and_explained(app: Millrace) -> None:
    await app.progress.create(id="file-1", stages=["upload", "index"], user_id="kim")
    await app.progress.create(id="album", children="mean")
    await app.progress.update("file-1", 50, "upload")
    await app.progress.get("file-1")
    listed = [json.loads(line) for line in (await command(app, "progress", "list", "--json")).splitlines()]
    assert [each["id"] for each in listed] == ["album", "file-1"]
    table = await command(app, "progress", "list", "--user", "kim", "--status", "processing")
    assert "file-1" in table
    assert "25.0 %" in table
    assert "album" not in table
    shown = await command(app, "progress", "get", "file-1")
    assert "upload  processing  50 %  weight 1" in shown
    assert "parts: 0 completed" in await command(app, "progress", "get", "album")
    assert "there is no progress 'made-up'" in await command(app, "progress", "get", "made-up", code=1)
    assert "progress.stage_changed" in await command(app, "history", "progress", "file-1")


async def test_watching_ends_with_the_work(app: Millrace) -> None:
    await app.progress.create(id="file-1")
    watching = await started(app, "progress", "watch", "file-1", "--json")
    assert watching.stdout is not None
    async with asyncio.timeout(60):
        assert json.loads(await watching.stdout.readline())["status"] == "pending"
        await app.progress.update("file-1", 30)
        await app.progress.complete("file-1")
        rest, _ = await watching.communicate()
    assert watching.returncode == 0
    assert [json.loads(line)["progress"] for line in rest.splitlines()] == [30, 100]


async def test_what_is_watched_is_all_that_standard_output_has(database_url: str) -> None:
    async with running_service(database_url) as service, Millrace(service.http, tenant=f"t-{uuid7()}") as app:
        await app.progress.create(id="file-1")
        watching = await started(app, "progress", "watch", "file-1", "--json", stderr=asyncio.subprocess.PIPE)
        assert watching.stdout is not None
        assert watching.stderr is not None
        async with asyncio.timeout(60):
            first = await watching.stdout.readline()
    # The service is gone.
    async with asyncio.timeout(60):
        while b"progress cannot be followed" not in await watching.stderr.readline():
            assert watching.returncode is None
        watching.kill()
        rest, _ = await watching.communicate()
    assert [json.loads(line)["id"] for line in (first + rest).splitlines()] == ["file-1"]
