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
from tests.support.channels import Recorder
from tests.support.eventually import eventually
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
    async with asyncio.timeout(60):
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


async def test_what_a_receiver_has_lost_is_sent_once_more(database_url: str) -> None:
    email = Recorder("email")
    async with (
        running_service(database_url, channels=[email]) as service,
        Millrace(service.http, tenant=f"t-{uuid7()}") as app,
    ):
        ids = []
        for user in ("kim", "lee"):
            sent = await app.notifications.send(user_id=user, title="t", channels=["email"], recipient="a@example.com")
            ids.append(sent.id)

        async def over() -> list[str]:
            found = [await app.notifications.get(id) for id in ids]
            return [each.deliveries[0].status for each in found if each is not None]

        await eventually(over, lambda found: found == ["sent", "sent"], 30)
        since = ("resend", "email", "--since", "2026-01-01T00:00:00Z")
        assert await command(app, *since, "--dry-run") == "2 notification(s) fit\n"
        assert len(email.taken) == 2
        assert await command(app, "notifications", "why", ids[0]) == "email: sent after 1 attempt\n"
        told = json.loads(await command(app, *since, "--user", "kim", "--json"))
        assert told == {"channel": "email", "count": 1, "dry_run": False}

        async def taken() -> list[str]:
            return [each.delivery_id for each in email.taken]

        names = await eventually(taken, lambda found: len(found) == 3, 30)
        assert names.count(names[2]) == 2
        assert await command(app, "resend", "email", "--since", "2999-01-01T00:00:00Z") == (
            "0 notification(s) are sent once more\n"
        )
        assert "time" in await command(app, "resend", "email", "--since", "soon", code=2)
