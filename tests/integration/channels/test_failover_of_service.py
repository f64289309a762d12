"""Two providers behind one channel of a running service: the second delivers while the first does not answer."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from adapters.contracts.channels import Mode
from tests.support.eventually import eventually
from tests.support.running import running
from tests.support.vendors.mail_vendors import MailgunServer, SendGridServer
from tests.support.vendors.vendor import serving


def section(first: SendGridServer, second: MailgunServer) -> dict[str, Any]:
    return {
        "channels": {
            "email": {
                "provider": "sendgrid", "fallbacks": ["mailgun"], "from_address": "noreply@example.com", "timeout": 0.5,
            }
        },
        "providers": {
            "sendgrid": {"api_key": first.key, "base_url": first.url},
            "mailgun": {"api_key": second.key, "domain": second.domain, "base_url": second.url},
        },
        "delivery": {"backoff": {"kind": "fixed", "delay": 0.05}, "max_attempts": 2},
    }  # fmt: skip


async def sent(client: httpx.AsyncClient, *ends: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """One mail's delivery once it has ended, and its history."""
    body = {"title": "Hello", "user_id": "kim", "channels": ["email"], "recipient": "kim@example.com"}
    id = (await client.post("/api/notifications", json=body)).json()["notification_id"]

    async def delivery() -> dict[str, Any]:
        [step] = (await client.get(f"/api/notifications/{id}")).json()["deliveries"]
        return dict(step)

    found = await eventually(delivery, lambda step: step["status"] in ends, seconds=60)
    return found, (await client.get(f"/api/notifications/{id}/history")).json()


@pytest.mark.parametrize(
    ("mode", "said"),
    [("temporary", "sendgrid: 500: something went wrong"), ("silent", "sendgrid: no answer within 0.5 s")],
)
async def test_the_second_provider_delivers_and_the_history_says_why(
    fresh_database_url: str, mode: Mode, said: str
) -> None:
    async with serving(SendGridServer()) as first, serving(MailgunServer()) as second:
        modules = {"notifications": section(first, second)}
        async with running(fresh_database_url, modules=modules) as service, service.client() as client:
            first.mode = mode
            delivery, history = await sent(client, "sent", "failed")
            assert (delivery["status"], delivery["provider"], delivery["attempts"]) == ("sent", "mailgun", 1)
            assert delivery["provider_message_id"] == second.taken[0].told
            assert delivery["detail"].startswith(said)
            [event] = [each for each in history if each["type"] == "millrace.notification.sent.v2"]
            assert event["data"]["detail"] == delivery["detail"]
            assert (len(first.requests), len(second.taken)) == (1, 1)
            # It rests, and says so, for the next one.
            delivery, _ = await sent(client, "sent", "failed")
            assert delivery["detail"] == "sendgrid: it rests after a failure"
            assert len(first.requests) == 1


async def test_where_neither_delivers_the_history_has_both_reasons_and_each_attempt_the_same_name(
    fresh_database_url: str,
) -> None:
    async with serving(SendGridServer()) as first, serving(MailgunServer()) as second:
        modules = {"notifications": section(first, second)}
        async with running(fresh_database_url, modules=modules) as service, service.client() as client:
            first.mode, second.mode = "temporary", "overloaded"
            delivery, history = await sent(client, "failed")
            assert (delivery["reason"], delivery["attempts"]) == ("attempts-exhausted", 2)
            [failed] = [each for each in history if each["type"] == "millrace.notification.attempt_failed.v1"]
            assert failed["data"]["reason"] == ("sendgrid: 500: something went wrong; mailgun: 429: too many requests")
            assert delivery["detail"] == "sendgrid: it rests after a failure; mailgun: it rests after a failure"


async def test_what_is_delivered_again_carries_the_id_that_it_had(fresh_database_url: str) -> None:
    async with serving(SendGridServer()) as first, serving(MailgunServer()) as second:
        modules = {"notifications": section(first, second)}
        async with running(fresh_database_url, modules=modules) as service, service.client() as client:
            delivery, history = await sent(client, "sent")
            id = history[0]["subject"]
            again = {"notification_id": id, "channel": "email"}
            answer = await client.post("/api/commands/notification.resend", json=again)
            assert answer.json()["ok"], answer.text

            async def taken() -> list[tuple[str, str]]:
                return [(each.id, each.extra["custom_args"]["delivery_id"]) for each in first.taken]

            names = await eventually(taken, lambda found: len(found) == 2, seconds=60)
            assert names[0] == names[1]
            assert names[0][1] == delivery["delivery_id"]
