"""Every route, command, query and event of notifications and templates."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from adapters.postgres.expired_notifications import PostgresExpiredNotifications
from handlers.notification_retention import NotificationRetention
from millrace.contracts.catalogue import EVENTS
from tests.support.operations import Bench, data_of, versions
from tests.support.running import Running, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_notifications_over_amqp(bench: Bench, service: Running) -> None:
    user = uuid4().hex
    await bench.ask("notification.set_contacts", {"user_id": user, "contacts": {"email": "one@example.org"}})
    await bench.ask("notification.set_preferences", {"user_id": user, "categories": {"news": False}})
    send = {"user_id": user, "title": "t", "channels": ["in-app"]}
    reply = await bench.ask("notification.send", send)
    notification_id = reply["result"]["notification_id"]
    shown = await bench.ask("notification.get", {"notification_id": notification_id}, reply["position"])
    assert shown["result"]["notification"]["title"] == "t"
    await bench.ask("notification.snooze", {"notification_id": notification_id, "seconds": 0.1})
    await bench.events("notification.woken")
    await bench.ask("notification.mark_read", {"notification_id": notification_id, "user_id": user})
    mailed = await bench.ask("notification.send", {**send, "channels": ["email"]})
    by_mail = {"notification_id": mailed["result"]["notification_id"], "channel": "email"}
    await bench.events("notification.sent")
    await bench.ask("notification.receipt", {**by_mail, "status": "delivered"})
    await bench.ask("subscription.create", {"name": "channel:pigeon", "pattern": "notification.handed_over"})
    handed = await bench.ask("notification.send", {**send, "channels": ["pigeon"]})
    await bench.events("notification.handed_over")
    by_pigeon = {"notification_id": handed["result"]["notification_id"], "channel": "pigeon", "attempt": 1}
    await bench.ask("notification.report", {**by_pigeon, "status": "sent"})
    await bench.ask("notification.resend", by_mail)
    since = {"channel": "email", "since": "2026-01-01T00:00:00Z", "user_id": user}
    assert (await bench.ask("notification.resend_since", {**since, "dry_run": True}))["result"]["matched"] <= 1
    failing = {**send, "channels": ["sms", "push"], "recipient": "+1"}
    await bench.ask("notification.send", failing)
    await bench.ask("notification.send", {**send, "channels": ["email"], "digest": {"key": "d"}})
    unwanted = await bench.ask("notification.send", {**send, "category": "news"})
    assert unwanted["result"]["held_back"]["in-app"]["reason"] == "category-off"
    await bench.ask("notification.cancel", {"notification_id": notification_id})
    reply = await bench.ask("notification.mark_all_read", {"user_id": user})
    unread = await bench.ask("notification.unread_count", {"user_id": user}, reply["position"])
    assert unread["result"]["unread"] == 0
    listed = await bench.ask("notification.list", {"user_id": user, "scope": "all"}, reply["position"])
    assert len(listed["result"]["notifications"]) == 6
    assert (await bench.ask("notification.preferences", {"user_id": user}))["result"]["categories"] == {"news": False}
    assert "email" in (await bench.ask("notification.contacts", {"user_id": user}))["result"]["contacts"]
    retention = NotificationRetention(
        PostgresExpiredNotifications(service.system.storage.pool), service.system.pipeline, read=0.001, unread=3_600
    )
    await until(lambda: _swept(retention))
    await bench.events(*(topic for topic in EVENTS if topic.startswith("notification.")))


async def _swept(retention: NotificationRetention) -> bool:
    return await retention.sweep() > 0


async def test_templates_over_amqp(bench: Bench) -> None:
    name = uuid4().hex
    saved = await bench.ask("template.save", {"name": name, "title": "Hello {{ name }}"})
    assert saved["result"] == {"name": name, "version": 1}
    assert "" in (await bench.ask("template.get", {"name": name}))["result"]["template"]["locales"]
    shown = await bench.ask("template.preview", {"name": name, "context": {"name": "Kim"}})
    assert shown["result"]["title"] == "Hello Kim"
    listed = await bench.ask("template.list", {}, saved["position"])
    assert name in {each["name"] for each in listed["result"]["templates"]}
    await bench.ask("template.remove", {"name": name})
    await bench.events("template.saved", "template.removed")


@versions
async def test_notifications_over_http(bench: Bench, prefix: str) -> None:
    client, user = bench.client, uuid4().hex
    path, whose = f"{prefix}/notifications", {"user_id": user}
    contacts = {"contacts": {"email": "one@example.org"}, "timezone": "Europe/Berlin"}
    assert data_of(await client.put(f"{path}/contacts/{user}", json=contacts), prefix)["timezone"] == "Europe/Berlin"
    assert "email" in data_of(await client.get(f"{path}/contacts/{user}"), prefix)["contacts"]
    now = datetime.now(ZoneInfo("Europe/Berlin"))
    quiet = {"start": f"{now - timedelta(hours=1):%H:%M}", "end": f"{now + timedelta(hours=2):%H:%M}"}
    preferences = {"channels": ["in-app", "email"], "categories": {}, "quiet_hours": quiet}
    assert data_of(await client.put(f"{path}/preferences", params=whose, json=preferences), prefix)["matrix"] == {}
    told = data_of(await client.get(f"{path}/preferences", params=whose), prefix)
    assert (told["channels"], told["quiet_hours"]["start"]) == (["in-app", "email"], quiet["start"])
    body = {"type": "info", "title": "File Uploaded", "channels": ["in-app", "email"], "critical": True, **whose}
    sent = data_of(await client.post(path, json=body), prefix, 201)
    assert (sent["deliveries"], sent["held_back"]) == ({"in-app": "delivered", "email": "queued"}, {})
    unsent = data_of(await client.post(path, json={"title": "n", "channels": ["fax", "push"], **whose}), prefix, 201)
    assert unsent["held_back"]["push"] == {
        "reason": "channel-off", "detail": "the user's preferences leave push out", "due_at": None,
    }  # fmt: skip
    assert data_of(await client.get(f"{path}/{sent['notification_id']}"), prefix)["title"] == "File Uploaded"
    many = {"notifications": [{"title": "n", **whose}, {"title": "m", **whose}, {**whose}]}
    answer = data_of(await client.post(f"{path}/bulk", json=many), prefix)
    assert (answer["sent"], answer["refused"], answer["results"][2]["error"]["code"]) == (2, 1, "invalid")
    assert (await client.post(f"{path}/bulk", json={"title": "n"})).status_code == 422
    seen = {"X-Min-Position": answer["results"][1]["position"]}
    assert data_of(await client.get(f"{path}/unread", params=whose, headers=seen), prefix) == {**whose, "unread": 3}
    page = await client.get(path, params={**whose, "unread_only": True, "limit": 2})
    assert [each["title"] for each in data_of(page, prefix)] == ["m", "n"]
    assert 'rel="next"' in page.headers["link"]
    one = f"{path}/{sent['notification_id']}"
    assert (await client.post(f"{one}/read", params={"user_id": "somebody"})).status_code == 404
    assert data_of(await client.post(f"{one}/read"), prefix) == {"success": True}
    assert data_of(await client.post(f"{path}/read", params=whose), prefix) == {"success": True}
    assert data_of(await client.post(f"{one}/snooze", json={"seconds": 600}), prefix) == {"success": True}
    assert data_of(await client.delete(one, params={"reason": "wrong"}), prefix) == {"success": True}

    async def was_sent() -> bool:
        deliveries = data_of(await client.get(one), prefix)["deliveries"]
        return {each["channel"]: each["status"] for each in deliveries}["email"] == "sent"

    mailed = data_of(await client.post(path, json={**body, "channels": ["email"]}), prefix, 201)
    one = f"{path}/{mailed['notification_id']}"
    await until(was_sent)
    receipt = {"channel": "email", "status": "delivered"}
    assert data_of(await client.post(f"{one}/receipt", json=receipt), prefix) == {"success": True}
    since = {"channel": "email", "since": "2026-01-01T00:00:00Z", "user_id": body["user_id"]}
    again = data_of(await client.post(f"{path}/resend", json=since), prefix)
    assert (again["changed"], again["cursor"]) == (1, None)


@versions
async def test_templates_over_http(bench: Bench, prefix: str) -> None:
    client, name = bench.client, uuid4().hex
    path = f"{prefix}/templates/{name}"
    saved = await client.put(path, json={"title": "Hello {{ name }}", "locale": "de"})
    assert data_of(saved, prefix) == {"name": name, "version": 1}
    assert data_of(await client.get(path), prefix)["locales"]["de"]["title"] == "Hello {{ name }}"
    filling = {"context": {"name": "Kim"}, "locale": "de-CH"}
    assert data_of(await client.post(f"{path}/preview", json=filling), prefix)["title"] == "Hello Kim"
    listed = await client.get(f"{prefix}/templates", headers={"X-Min-Position": saved.headers["x-position"]})
    assert name in {each["name"] for each in data_of(listed, prefix)}
    assert data_of(await client.delete(path), prefix) == {"success": True}
    assert (await client.get(path)).status_code == 404
