"""What Amazon SES tells through Amazon SNS, over HTTP, about mails that a running service has sent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import httpx
import pytest

from adapters.channels.public_fetch import MAX_BYTES, PublicFetch
from adapters.channels.ses_events import SesEvents
from tests.support.running import Running, running
from tests.support.sent_notifications import Sending
from tests.support.vendors.mail_vendors import SesServer
from tests.support.vendors.sns_server import PATH, TOPIC, SnsServer, serving_sns
from tests.support.vendors.vendor import serving

CALLBACK = "/api/notifications/callbacks/ses"
LOOPBACK = ip_network("127.0.0.0/8")
CHARSET = {"Content-Type": "text/plain; charset=UTF-8"}


@dataclass
class Bench(Sending):
    """A service that sends through SES, and SNS, which tells it what has become of its mails."""

    service: Running
    client: httpx.AsyncClient
    ses: SesServer
    sns: SnsServer

    async def tell(self, body: dict[str, Any] | bytes) -> httpx.Response:
        """The call as SNS makes it."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.client.post(CALLBACK, content=content, headers=CHARSET)

    def event(self, kind: str, version: str = "2", **more: Any) -> dict[str, Any]:
        taken = self.ses.taken[-1]
        return self.sns.event(kind, dict(taken.extra), taken.told, version, **more)


@asynccontextmanager
async def bench(database_url: str, valid: timedelta = timedelta(days=1), allowed: bool = True) -> AsyncIterator[Bench]:
    ses = SesServer()
    async with serving(ses), serving_sns(valid) as sns:
        fetch = PublicFetch(allowed=[LOOPBACK] if allowed else [], tls=sns.trust, resolve=sns.here, timeout=20)
        reader = SesEvents([TOPIC], fetch, lambda: datetime.now(UTC), endpoint=sns.of)
        keys = {"access_key_id": ses.access_key, "secret_access_key": ses.secret, "region": ses.region}
        section = {
            "channels": {"email": {"provider": "ses", "from_address": "noreply@example.com"}},
            "providers": {"ses": {**keys, "base_url": ses.url, "configuration_set": "events"}},
        }
        async with (
            running(database_url, modules={"notifications": section}, callbacks={"ses": reader}) as service,
            service.client() as client,
        ):
            yield Bench(service, client, ses, sns)


def bounced(kind: str, status: str, words: str) -> dict[str, Any]:
    recipient = {"emailAddress": "kim@example.com", "status": status, "diagnosticCode": words}
    return {"bounceType": kind, "bounceSubType": "General", "feedbackId": f"f-{kind}", "bouncedRecipients": [recipient]}


async def test_ses_tells_that_a_mail_has_arrived_and_that_it_has_bounced_after_all(fresh_database_url: str) -> None:
    async with bench(fresh_database_url) as it:
        id = await it.send("email", "kim@example.com")
        assert it.ses.taken[-1].extra["ConfigurationSetName"] == "events"
        for kind in ("Send", "DeliveryDelay", "Open"):
            assert (await it.tell(it.event(kind))).json() == {"success": True}
        assert (await it.step(id))["status"] == "sent"
        delivered = it.event("Delivery", "1", delivery={"smtpResponse": "250 ok"})
        for _ in range(2):
            assert (await it.tell(delivered)).status_code == 200
        await it.ends(id, "delivered")
        # An automatic reply of a mailbox whose owner is away.
        assert (await it.tell(it.event("Bounce", bounce=bounced("Transient", "4.4.7", "away")))).status_code == 200
        assert (await it.step(id))["status"] == "delivered"
        bounce = it.event("Bounce", bounce=bounced("Permanent", "5.1.1", "smtp; 550 no such user"))
        assert (await it.tell(bounce)).status_code == 200
        step = await it.ends(id, "failed")
        assert (step["reason"], step["detail"]) == ("bounced", "5.1.1 smtp; 550 no such user")
        assert step["provider"] == "ses"
        told = (await it.client.get(f"/api/notifications/{id}/history")).json()
        assert [each["type"].split(".")[2] for each in told] == ["created", "queued", "sent", "delivered", "failed"]
        # One certificate for all of them.
        assert it.sns.asked == [PATH]


@pytest.mark.parametrize(
    ("kind", "more", "status", "detail"),
    [
        ("Complaint", {"complaint": {"complaintFeedbackType": "abuse"}}, "delivered", None),
        ("Bounce", {"bounce": bounced("Transient", "4.4.7", "too long in the queue")}, "failed", "4.4.7 too long"),
        ("Reject", {"reject": {"reason": "Bad content"}}, "failed", "Bad content"),
    ],
)
async def test_other_ends_of_a_mail_are_told_too(
    fresh_database_url: str, kind: str, more: dict[str, Any], status: str, detail: str | None
) -> None:
    async with bench(fresh_database_url) as it:
        id = await it.send("email", "kim@example.com")
        assert (await it.tell(it.event(kind, **more))).status_code == 200
        step = await it.ends(id, status)
        if detail is not None:
            assert (step["reason"], step["detail"].startswith(detail)) == ("undelivered", True)


async def test_a_subscription_to_a_topic_of_the_settings_is_confirmed(fresh_database_url: str) -> None:
    async with bench(fresh_database_url) as it:
        confirmation = it.sns.confirmation()
        assert (await it.tell(confirmation)).status_code == 200
        assert it.sns.asked == [PATH, confirmation["SubscribeURL"].removeprefix(it.sns.endpoint)]
        # The words with which SES tries the topic, and the end of the subscription.
        assert (await it.tell(it.sns.signed(Message="Successfully validated SNS topic"))).status_code == 200
        assert (await it.tell(it.sns.confirmation(Type="UnsubscribeConfirmation"))).status_code == 200
        assert len(it.sns.asked) == 2
        it.sns.status = "500 Oops"
        assert (await it.tell(it.sns.confirmation())).status_code == 503
        elsewhere = it.sns.confirmation(SubscribeURL=f"{it.sns.endpoint}/?Action=DeleteTopic&TopicArn={TOPIC}")
        foreign = it.sns.confirmation(SubscribeURL="https://169.254.169.254/?Action=ConfirmSubscription")
        asked = len(it.sns.asked)
        for wrong in (elsewhere, foreign):
            assert (await it.tell(wrong)).json()["code"] == "bad-signature"
        assert len(it.sns.asked) == asked


async def test_what_sns_has_not_signed_for_the_topic_is_refused(fresh_database_url: str) -> None:
    async with bench(fresh_database_url) as it:
        id = await it.send("email", "kim@example.com")
        bounce = it.event("Bounce", bounce=bounced("Permanent", "5.1.1", "no such user"))
        assert (await it.tell({**bounce, "TopicArn": f"{TOPIC}-of-others"})).status_code == 401
        for elsewhere in ("https://evil.example.com", f"{it.sns.endpoint}.evil.example.com", f"{it.sns.endpoint}/.."):
            assert (await it.tell({**bounce, "SigningCertURL": elsewhere + PATH})).status_code == 401
        # Nobody was asked for anything so far.
        assert it.sns.asked == []
        for changes in (
            {"Message": bounce["Message"].replace("5.1.1", "5.1.2")},
            {"Subject": "other"},
            {"MessageId": "other"},
            {"Type": "UnsubscribeConfirmation"},
            {"SignatureVersion": "1"},
            {"SignatureVersion": "3"},
            {"Signature": "no base64!"},
            {"Signature": ""},
        ):
            refused = await it.tell({**bounce, **changes})
            assert (refused.status_code, refused.json()["code"]) == (401, "bad-signature"), changes
        raw = await it.tell({"eventType": "Bounce", "mail": {}})
        assert (raw.status_code, "raw message delivery" in raw.text) == (422, True)
        for nothing in (b"", b"[]", b"\xff", b'{"Type": []}'):
            assert (await it.tell(nothing)).status_code == 422
        assert (await it.step(id))["status"] == "sent"
        assert (await it.tell(bounce)).status_code == 200
        await it.ends(id, "failed")


@pytest.mark.parametrize("found", [b"nothing", b"x" * (MAX_BYTES + 1)])
async def test_a_certificate_that_is_none_or_has_no_end_is_not_believed(fresh_database_url: str, found: bytes) -> None:
    async with bench(fresh_database_url) as it:
        await it.send("email", "kim@example.com")
        it.sns.answers[PATH], right = found, it.sns.answers[PATH]
        delivered = it.event("Delivery")
        assert (await it.tell(delivered)).status_code in (401, 503)
        it.sns.answers[PATH] = right
        assert (await it.tell(delivered)).status_code == 200


async def test_a_certificate_that_cannot_be_had_now_has_sns_call_again(fresh_database_url: str) -> None:
    async with bench(fresh_database_url) as it:
        id = await it.send("email", "kim@example.com")
        delivered, it.sns.status = it.event("Delivery"), "500 Oops"
        refused = await it.tell(delivered)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert "the answer was 500" in refused.json()["detail"]
        it.sns.status = "200 OK"
        assert (await it.tell(delivered)).status_code == 200
        await it.ends(id, "delivered")


async def test_a_certificate_whose_time_is_over_is_refused(fresh_database_url: str) -> None:
    async with bench(fresh_database_url, valid=timedelta(days=-1)) as it:
        await it.send("email", "kim@example.com")
        refused = await it.tell(it.event("Delivery"))
        assert (refused.status_code, "not valid at this time" in refused.json()["detail"]) == (401, True)


async def test_a_name_that_leads_inside_is_not_called(fresh_database_url: str) -> None:
    async with bench(fresh_database_url, allowed=False) as it:
        await it.send("email", "kim@example.com")
        refused = await it.tell(it.event("Delivery"))
        assert (refused.status_code, "not public" in refused.json()["detail"]) == (503, True)
        assert it.sns.asked == []
