"""`millrace notifications` against a running service."""

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
    """What `millrace …` prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "millrace.cli.main", *arguments),
        cwd=CHECKOUT,
        env={**os.environ, "MILLRACE_URL": app.settings.url, "MILLRACE_TENANT": app.settings.tenant, "TZ": "UTC"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(30):
        output, _ = await process.communicate()
    assert process.returncode == code, output.decode()
    return output.decode()


async def test_notifications_are_sent_listed_and_explained(app: Millrace) -> None:
    told = await command(app, "notifications", "send", "kim", "Disk full", "--channel", "in-app", "--channel", "sms")
    notification_id, *channels = told.split()
    assert channels[0] == "in-app=delivered"
    assert channels[1] == "sms=suppressed"
    why = (await command(app, "notifications", "why", notification_id)).splitlines()
    assert why[0] == "in-app: delivered"
    assert why[1].startswith("sms: suppressed, ")
    [line] = [json.loads(line) for line in (await command(app, "notifications", "list", "--json")).splitlines()]
    assert (line["id"], line["title"], line["user_id"]) == (notification_id, "Disk full", "kim")
    assert "Disk full" in await command(app, "notifications", "list", "--user", "kim", "--inbox", "--unread")
    assert "Disk full" not in await command(app, "notifications", "list", "--user", "lee")
    tree = await command(app, "why", notification_id)
    assert "notification.suppressed" in tree
    assert "there is no notification" in await command(app, "notifications", "why", "nobody", code=1)
