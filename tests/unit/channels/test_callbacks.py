"""Signatures of the providers' calls: published examples, and everything that is not signed."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from adapters.channels.callback import BadSignature, Callback, UnreadableCallback
from adapters.channels.mailgun_events import MailgunEvents
from adapters.channels.sendgrid_events import SIGNATURE, TIMESTAMP, BadPublicKey, SendGridEvents
from adapters.channels.twilio_status import TwilioStatus, signature_of
from infra.channel_callbacks import build_callbacks
from infra.settings import load_settings
from infra.settings_errors import SettingsError

# The example of SendGrid's own libraries.
PUBLIC_KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1"
    "flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g=="
)
SIGNED = "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM="
SIGNED_AT = "1600112502"
# https://www.twilio.com/docs/usage/security#validating-requests
TWILIO_URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
TWILIO_FORM = {
    "CallSid": "CA1234567890ABCDE", "Caller": "+12349013030", "Digits": "1234", "From": "+12349013030",
    "To": "+18005551212",
}  # fmt: skip
NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def mailgun_body(key: str, at: float, event: dict[str, Any]) -> bytes:
    token = "e0b5477167110d68991efc6b9f89f0a11066af27834600e123"
    digest = hmac.new(key.encode(), f"{at:.0f}{token}".encode(), hashlib.sha256).hexdigest()
    signature = {"timestamp": f"{at:.0f}", "token": token, "signature": digest}
    return json.dumps({"signature": signature, "event-data": event}).encode()


async def test_the_example_of_sendgrid_is_verified() -> None:
    event = {
        "email": "hello@world.com", "event": "dropped", "reason": "Bounced Address",
        "sg_event_id": "ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",
        "sg_message_id": "LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",
        "smtp-id": "<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>", "timestamp": 1600112492,
    }  # fmt: skip
    body = json.dumps([event], separators=(",", ":")).encode() + b"\r\n"
    headers = {SIGNATURE.encode(): SIGNED.encode(), TIMESTAMP.encode(): SIGNED_AT.encode()}
    reader = SendGridEvents(PUBLIC_KEY)
    # It was sent by somebody else through the account.
    assert await reader.read(Callback(headers, "", body)) == []
    for changed in (body.replace(b"hello", b"hallo"), body + b" "):
        with pytest.raises(BadSignature, match="does not fit"):
            await reader.read(Callback(headers, "", changed))
    with pytest.raises(BadSignature, match="does not fit"):
        await reader.read(Callback({**headers, TIMESTAMP.encode(): b"1600112503"}, "", body))
    with pytest.raises(BadSignature, match="missing"):
        await reader.read(Callback({}, "", body))


def test_the_example_of_twilio_is_verified() -> None:
    assert signature_of(b"12345", TWILIO_URL, list(TWILIO_FORM.items())) == "0/KCTR6DLpKmkAf8muzZqo1nDgQ="


@pytest.mark.parametrize(
    ("status", "told"), [("delivered", "delivered"), ("undelivered", "failed"), ("failed", "failed"), ("sent", None)]
)
async def test_a_status_of_twilio_is_read_where_it_is_the_last(status: str, told: str | None) -> None:
    query = urlencode({"tenant": "acme", "notification_id": "n-1"})
    form = {"MessageSid": "SM1", "MessageStatus": status, "ErrorCode": "30003"}
    signature = signature_of(b"token", f"https://example.com/t?{query}", list(form.items()))
    call = Callback({b"x-twilio-signature": signature.encode()}, query, urlencode(form).encode())
    found = await TwilioStatus("token", "https://example.com/t").read(call)
    assert [(each.tenant, each.notification_id, each.status) for each in found] == (
        [("acme", "n-1", told)] if told else []
    )
    with pytest.raises(BadSignature):
        await TwilioStatus("token", "https://example.com/elsewhere").read(call)
    with pytest.raises(BadSignature):
        await TwilioStatus("token", "https://example.com/t").read(call._replace(query=query.replace("acme", "globex")))
    with pytest.raises(BadSignature, match="missing"):
        await TwilioStatus("token", "https://example.com/t").read(call._replace(headers={}))
    with pytest.raises(UnreadableCallback):
        await TwilioStatus("token", "https://example.com/t").read(call._replace(body=b"\xff"))


@pytest.mark.parametrize(
    ("event", "status", "reason"),
    [
        ({"event": "delivered"}, "delivered", ""),
        (
            {"event": "failed", "severity": "permanent", "delivery-status": {"code": 550, "message": "no such user"}},
            "bounced",
            "550 no such user",
        ),
        ({"event": "failed", "severity": "temporary"}, None, ""),
        ({"event": "opened"}, None, ""),
    ],
)
async def test_an_event_of_mailgun_is_read_where_it_is_the_last(
    event: dict[str, Any], status: str | None, reason: str
) -> None:
    event |= {
        "id": "e-1",
        "user-variables": {"tenant": "acme", "notification_id": "n-1"},
        "message": {"headers": {"message-id": "m-1@mg.example.com"}},
    }
    found = await MailgunEvents("key", lambda: NOW).read(Callback({}, "", mailgun_body("key", NOW.timestamp(), event)))
    assert [(each.status, each.provider_message_id, each.reason) for each in found] == (
        [(status, "<m-1@mg.example.com>", reason)] if status else []
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (mailgun_body("another key", NOW.timestamp(), {"event": "delivered"}), "does not fit"),
        (mailgun_body("key", NOW.timestamp() - 50_000, {"event": "delivered"}), "twelve hours"),
        (b'{"event-data": {"event": "delivered"}}', "no signature"),
        (b'{"signature": {"timestamp": "\xd9\xa1", "token": "t", "signature": "s"}}', "no signature"),
        (b'{"signature": {"timestamp": "1", "token": "t", "signature": "\xc3\xa4"}}', "does not fit"),
    ],
)
async def test_what_mailgun_has_not_signed_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(BadSignature, match=said) as error:
        await MailgunEvents("key", lambda: NOW).read(Callback({}, "", body))
    assert error.value.provider == "mailgun"


@pytest.mark.parametrize("body", [b"", b"[]", b"nothing"])
async def test_what_is_no_call_of_mailgun_cannot_be_read(body: bytes) -> None:
    with pytest.raises(UnreadableCallback):
        await MailgunEvents("key", lambda: NOW).read(Callback({}, "", body))


@pytest.mark.parametrize("key", ["no base64!", "AAAA", "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="])
def test_what_is_no_verification_key_stops_the_start(key: str) -> None:
    with pytest.raises(BadPublicKey):
        SendGridEvents(key)
    modules = {"notifications": {"providers": {"sendgrid": {"webhook_public_key": key}}}}
    with pytest.raises(SettingsError, match="webhook_public_key"):
        build_callbacks(load_settings(environ={}, modules=modules))


def test_a_provider_without_a_key_has_no_calls() -> None:
    assert build_callbacks(load_settings(environ={})) == {}
