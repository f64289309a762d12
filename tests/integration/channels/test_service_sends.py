"""The whole way: a notification over HTTP, out of the service to a mailbox and to a receiver of webhooks."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from infra.channels import check_channels
from infra.settings import load_settings
from millrace import Millrace
from tests.support.eventually import eventually
from tests.support.running import running
from tests.support.vendors.mail_server import NOBODY, mail_server
from tests.support.vendors.receiver import SECRET, Receiver
from tests.support.vendors.vendor import serving


def section(mail_port: int, webhook_port: int) -> dict[str, Any]:
    return {
        "channels": {"email": {"from_address": "noreply@example.com"}, "webhook": {}},
        "providers": {
            "smtp": {"host": "127.0.0.1", "port": mail_port, "security": "none"},
            "webhook": {"secrets": [SECRET], "ports": [webhook_port], "allowed_networks": ["127.0.0.0/8"]},
        },
        "delivery": {"backoff": {"kind": "fixed", "delay": 0.05}},
    }


async def steps_of(client: httpx.AsyncClient, id: str) -> dict[str, Any]:
    answer = await client.get(f"/api/notifications/{id}", params={"user_id": "user-1"})
    assert answer.status_code == 200, answer.text
    return {step["channel"]: step for step in answer.json()["deliveries"]}


async def test_a_notification_reaches_a_mailbox_and_a_webhook_once(fresh_database_url: str) -> None:
    async with mail_server() as mail, serving(Receiver()) as receiver:
        address = f"{receiver.url}/any"
        modules = {"notifications": section(mail.port, int(receiver.url.rpartition(":")[2]))}
        async with running(fresh_database_url, modules=modules) as service, service.client() as client:
            mail.greylisted.add("user-1@example.com")
            receiver.mode = "temporary"
            answer = await client.post(
                "/api/notifications",
                json={
                    "type": "success",
                    "title": "Transcript ready",
                    "message": "Your transcript 42 is ready.",
                    "user_id": "user-1",
                    "channels": ["email", "webhook"],
                    "recipient": {"email": "user-1@example.com", "webhook": address},
                },
            )
            assert answer.status_code in (200, 201, 202), answer.text
            id = answer.json()["notification_id"]
            await eventually(lambda: _once(receiver.requests), seconds=30)
            receiver.mode = "works"

            async def settled() -> dict[str, Any]:
                return await steps_of(client, id)

            steps = await eventually(
                settled, lambda found: {each["status"] for each in found.values()} == {"sent"}, seconds=30
            )
        assert [each.to for each in mail.taken] == ["user-1@example.com"]
        assert steps["email"]["provider"] == "smtp"
        assert steps["email"]["provider_message_id"] == mail.taken[0].id
        assert len(receiver.taken) == 1
        assert {request.headers["webhook-id"] for request in receiver.requests} == {receiver.taken[0].id}
        assert steps["webhook"]["attempts"] >= 2


async def test_what_a_receiver_has_lost_comes_again_under_the_same_id(fresh_database_url: str) -> None:
    async with serving(Receiver()) as receiver:
        modules = {"notifications": section(9, int(receiver.url.rpartition(":")[2]))}
        async with (
            running(fresh_database_url, modules=modules) as service,
            service.client() as client,
            Millrace(service.url) as app,
        ):
            given = {"user_id": "user-1", "channels": ["webhook"], "recipient": f"{receiver.url}/any"}
            ids = [(await app.notifications.send(title=title, **given)).id for title in ("one", "two")]

            async def last() -> dict[str, Any]:
                return (await steps_of(client, ids[-1]))["webhook"]

            async def taken() -> list[str]:
                return [each.id for each in receiver.taken]

            await eventually(taken, lambda ids: len(ids) == 2, seconds=30)
            second = await eventually(last, lambda step: step["status"] == "sent", seconds=30)
            since = datetime.fromisoformat(second["updated_at"])
            assert await app.notifications.resend_since("webhook", since - timedelta(hours=1), dry_run=True) == 2
            before = await taken()
            assert await app.notifications.resend_since("webhook", since - timedelta(hours=1)) == 2
            after = await eventually(taken, lambda ids: len(ids) == 4, seconds=30)
            assert sorted(after[2:]) == sorted(before)
            assert len({*after}) == 2


async def test_a_mailbox_that_does_not_exist_fails_with_the_servers_words(fresh_database_url: str) -> None:
    async with mail_server() as mail:
        modules = {"notifications": section(mail.port, 9)}
        async with running(fresh_database_url, modules=modules) as service, service.client() as client:
            body = {"title": "Hello", "user_id": "user-1", "channels": ["email"], "recipient": {"email": NOBODY}}
            id = (await client.post("/api/notifications", json=body)).json()["notification_id"]

            async def settled() -> dict[str, Any]:
                return await steps_of(client, id)

            steps = await eventually(settled, lambda found: found["email"]["status"] == "failed", seconds=30)
    assert steps["email"]["reason"] == "rejected"
    assert "550" in steps["email"]["detail"]


@pytest.mark.parametrize("listening", [True, False])
async def test_the_doctor_asks_every_provider(listening: bool) -> None:
    async with mail_server() as mail:
        port = mail.port
        if listening:
            checked = await _checked(port)
    if not listening:
        checked = await _checked(port)
    problems = {each.channel: each.problem for each in checked}
    assert problems["webhook"] is None
    assert (problems["email"] is None) == listening


async def _checked(port: int) -> list[Any]:
    return await check_channels(load_settings(environ={}, modules={"notifications": section(port, 9)}))


async def _once(requests: list[Any]) -> list[Any]:
    return list(requests)
