"""Sending notifications through a service with channels of a test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import uuid4

from domain.channels import Channel
from infra.bootstrap import System
from infra.settings import Settings
from millrace import Millrace, Notification
from tests.support.channels import Recorder
from tests.support.eventually import eventually
from tests.support.service import running_service

DEADLINE = 60.0
ADDRESS = "one@example.org"


def quick(**delivery: object) -> Settings:
    """Settings under which a failed delivery is tried again at once."""
    given = {"backoff": {"kind": "fixed", "delay": 0.01}, **delivery}
    return Settings.model_validate({"modules": {"notifications": {"delivery": given}}})


@asynccontextmanager
async def sending(
    database_url: str, channels: Sequence[Channel], settings: Settings | None = None
) -> AsyncIterator[tuple[Millrace, System]]:
    """An application of a tenant of its own, on a service with these channels."""
    async with (
        running_service(database_url, settings=settings or quick(), channels=channels) as service,
        Millrace(service.http, tenant=f"t{uuid4().hex[:12]}", timeout=DEADLINE) as app,
    ):
        yield app, service.system


async def ended(app: Millrace, notification_id: str, channel: str = "email") -> tuple[str, str | None, int]:
    """Status, reason and attempts of the channel, once it waits for nothing more."""

    async def look() -> Notification | None:
        return await app.notifications.get(notification_id)

    def over(found: Notification | None) -> bool:
        return found is not None and all(each.status not in ("queued", "deferred") for each in found.deliveries)

    found = await eventually(look, over, DEADLINE)
    assert found is not None
    [delivery] = [each for each in found.deliveries if each.channel == channel]
    return delivery.status, delivery.reason, delivery.attempts


async def mail(app: Millrace, title: str = "t", **given: object) -> str:
    body = {"user_id": "u", "title": title, "channels": ["email"], "recipient": ADDRESS, **given}
    return (await app.notifications.send(body)).id


async def taken(channel: Recorder) -> int:
    """How many deliveries the channel was given."""
    return len(channel.taken)


async def standing(app: Millrace, notification_id: str) -> tuple[str, str | None]:
    """Status and reason of the notification's first delivery."""
    found = await app.notifications.get(notification_id)
    assert found is not None
    return found.deliveries[0].status, found.deliveries[0].reason
