"""What SendGrid, Mailgun and Twilio tell later, over HTTP, about messages that a running service has sent."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adapters.channels.twilio_status import signature_of
from tests.support.eventually import eventually
from tests.support.running import Running, running
from tests.support.sent_notifications import Sending
from tests.support.vendors.mail_vendors import MailgunServer, SendGridServer
from tests.support.vendors.push_vendors import TwilioServer
from tests.support.vendors.vendor import Vendor, serving

CALLBACKS = "/api/notifications/callbacks"
SIGNING_KEY = "mailgun-signing-key"
STATUS_URL = f"https://millrace.example.com{CALLBACKS}/twilio"


class Bench(Sending):
    """A service that sends through one provider, and what that provider would say."""

    def __init__(self, service: Running, client: httpx.AsyncClient, key: ec.EllipticCurvePrivateKey) -> None:
        self.service, self.client, self.key = service, client, key

    async def history(self, id: str) -> list[str]:
        told = (await self.client.get(f"/api/notifications/{id}/history")).json()
        return [event["type"] for event in told]

    async def sendgrid(self, events: list[dict[str, Any]], **headers: str) -> httpx.Response:
        content, at = json.dumps(events).encode(), str(int(time.time()))
        signature = base64.b64encode(self.key.sign(at.encode() + content, ec.ECDSA(SHA256()))).decode()
        signed = {
            "X-Twilio-Email-Event-Webhook-Signature": signature,
            "X-Twilio-Email-Event-Webhook-Timestamp": at,
            "Content-Type": "application/json",
        }
        return await self.client.post(f"{CALLBACKS}/sendgrid", content=content, headers=signed | headers)


@asynccontextmanager
async def bench(database_url: str, channel: str, provider: str, vendor: Vendor, **keys: Any) -> AsyncIterator[Bench]:
    key = ec.generate_private_key(ec.SECP256R1())
    public = base64.b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
    async with serving(vendor):
        verifying = {
            "sendgrid": {"webhook_public_key": public},
            "mailgun": {"webhook_signing_key": SIGNING_KEY},
            "twilio": {"status_callback": STATUS_URL},
        }[provider]
        section = {
            "channels": {channel: {"provider": provider, "from_address": "noreply@example.com"}},
            "providers": {provider: {**keys, **verifying, "base_url": vendor.url}},
        }
        async with (
            running(database_url, modules={"notifications": section}) as service,
            service.client() as client,
        ):
            yield Bench(service, client, key)


def of_mail(vendor: SendGridServer, event: str, **more: str) -> dict[str, Any]:
    taken = vendor.taken[-1]
    more = {"sg_event_id": f"{event}-{taken.told}", "sg_message_id": f"{taken.told}.recvd-5d-x-1.0", **more}
    return {**taken.extra["custom_args"], "event": event, "email": taken.to, **more}


async def test_what_a_provider_tells_later_becomes_an_event(fresh_database_url: str) -> None:
    vendor = SendGridServer()
    async with bench(fresh_database_url, "email", "sendgrid", vendor, api_key=vendor.key) as it:
        id = await it.send("email", "kim@example.com")
        processed, delivered = of_mail(vendor, "processed"), of_mail(vendor, "delivered")
        others = {"event": "delivered", "sg_message_id": "x", "email": "nobody@example.com"}
        assert (await it.sendgrid([processed, others])).json() == {"success": True}
        assert (await it.step(id))["status"] == "sent"
        for _ in range(2):
            assert (await it.sendgrid([delivered, processed])).status_code == 200
        await it.ends(id, "delivered")
        bounce = of_mail(vendor, "bounce", status="5.1.1", reason="550 no such user")
        assert (await it.sendgrid([bounce, delivered])).status_code == 200
        step = await it.ends(id, "failed")
        assert (step["reason"], step["detail"]) == ("bounced", "5.1.1 550 no such user")
        assert step["provider"] == "sendgrid"
        assert [each.split(".")[2] for each in await it.history(id)] == [
            "created", "queued", "sent", "delivered", "failed",
        ]  # fmt: skip


async def test_a_call_about_another_message_than_the_last_changes_nothing(fresh_database_url: str) -> None:
    vendor = SendGridServer()
    async with bench(fresh_database_url, "email", "sendgrid", vendor, api_key=vendor.key) as it:
        id = await it.send("email", "kim@example.com")
        first = of_mail(vendor, "bounce")
        answer = await it.client.post(
            "/api/commands/notification.resend", json={"notification_id": id, "channel": "email"}
        )
        assert answer.json()["ok"], answer.text
        await eventually(lambda: _count(vendor), lambda count: count == 2, seconds=30)
        await it.ends(id, "sent")
        assert (await it.sendgrid([first])).status_code == 200
        missing = {**first, "notification_id": "nobody", "sg_event_id": "other"}
        foreign = {**of_mail(vendor, "bounce"), "tenant": "globex", "sg_event_id": "another"}
        assert (await it.sendgrid([missing, foreign])).status_code == 200
        assert (await it.step(id))["status"] == "sent"


async def test_a_call_that_nobody_has_signed_is_refused(fresh_database_url: str) -> None:
    vendor = SendGridServer()
    async with bench(fresh_database_url, "email", "sendgrid", vendor, api_key=vendor.key) as it:
        id = await it.send("email", "kim@example.com")
        event = of_mail(vendor, "bounce")
        forged = await it.sendgrid([event], **{"X-Twilio-Email-Event-Webhook-Timestamp": "1"})
        assert (forged.status_code, forged.json()["code"]) == (401, "bad-signature")
        assert "sendgrid" in forged.json()["detail"]
        bare = await it.client.post(f"{CALLBACKS}/sendgrid", json=[event])
        assert bare.status_code == 401
        assert (await it.sendgrid([event] * 10_001)).status_code in (413, 422)
        for provider in ("mailgun", "twilio", "pigeon"):
            assert (await it.client.post(f"{CALLBACKS}/{provider}", json=[event])).status_code == 404
        assert (await it.step(id))["status"] == "sent"


async def test_an_address_that_the_provider_cannot_carry_is_rejected_with_its_reason(fresh_database_url: str) -> None:
    vendor = SendGridServer()
    async with bench(fresh_database_url, "email", "sendgrid", vendor, api_key=vendor.key) as it:
        step = await it.step(await it.send("email", "jürgen@beispiel.example", status="failed"))
        assert (step["reason"], vendor.taken) == ("rejected", [])
        assert "other letters than ASCII" in step["detail"]


async def test_mailgun_tells_that_a_mail_has_bounced(fresh_database_url: str) -> None:
    vendor = MailgunServer()
    keys = {"api_key": vendor.key, "domain": vendor.domain}
    async with bench(fresh_database_url, "email", "mailgun", vendor, **keys) as it:
        id = await it.send("email", "kim@example.com")
        form: Mapping[str, Any] = vendor.taken[0].extra
        event = {
            "event": "failed",
            "severity": "permanent",
            "id": "e-1",
            "user-variables": {name: form[f"v:{name}"] for name in ("tenant", "notification_id", "delivery_id")},
            "message": {"headers": {"message-id": vendor.taken[0].told.strip("<>")}},
            "delivery-status": {"code": 550, "message": "no such user"},
        }
        at, token = str(int(time.time())), "t" * 50
        digest = hmac.new(SIGNING_KEY.encode(), f"{at}{token}".encode(), hashlib.sha256).hexdigest()
        signature = {"timestamp": at, "token": token, "signature": digest}
        for right, status in ((False, 401), (True, 200)):
            body = {"signature": signature | ({} if right else {"token": "u" * 50}), "event-data": event}
            assert (await it.client.post(f"{CALLBACKS}/mailgun", json=body)).status_code == status
        step = await it.ends(id, "failed")
        assert (step["reason"], step["detail"]) == ("bounced", "550 no such user")


@pytest.mark.parametrize(("status", "end"), [("delivered", "delivered"), ("undelivered", "failed")])
async def test_twilio_tells_whether_a_text_message_has_arrived(fresh_database_url: str, status: str, end: str) -> None:
    vendor = TwilioServer()
    keys = {"account_sid": vendor.account, "auth_token": vendor.token, "sender": vendor.sender}
    async with bench(fresh_database_url, "sms", "twilio", vendor, **keys) as it:
        id = await it.send("sms", "+4930123456")
        asked = vendor.taken[0].extra["StatusCallback"]
        assert dict(parse_qsl(urlsplit(asked).query)) == {"tenant": "default", "notification_id": id}
        form = {"MessageSid": vendor.taken[0].told, "MessageStatus": status, "ErrorCode": "30003"}
        path = f"{CALLBACKS}/twilio?{urlsplit(asked).query}"
        for token, code in ((b"wrong", 401), (vendor.token.encode(), 200)):
            headers = {"X-Twilio-Signature": signature_of(token, asked, list(form.items()))}
            content = urlencode(form)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            assert (await it.client.post(path, content=content, headers=headers)).status_code == code
        step = await it.ends(id, end)
        if end == "failed":
            assert (step["reason"], step["detail"]) == ("undelivered", "undelivered 30003")


async def _count(vendor: Vendor) -> int:
    return len(vendor.taken)
