"""`/ws/notifications`: what is unread, what comes, and marking as read, on all devices alike."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.live import live
from tests.support.running import Running, running


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[Running]:
    async with running(database_url) as service:
        yield service


@pytest.fixture
def tenant() -> str:
    return f"t-{uuid.uuid4().hex[:12]}"


def at(tenant: str, user: str = "ann", **more: str) -> str:
    return f"/ws/notifications?user_id={user}&tenant={tenant}" + "".join(f"&{k}={v}" for k, v in more.items())


async def send(service: Running, tenant: str, title: str, user: str = "ann", **more: Any) -> str:
    async with service.client(tenant) as client:
        body = {"title": title, "user_id": user, "type": "success", "channels": ["in-app"], **more}
        answer = await client.post("/api/notifications", json=body)
        answer.raise_for_status()
        return str(answer.json()["notification_id"])


async def test_what_is_unread_comes_first_and_then_what_is_new(service: Running, tenant: str) -> None:
    old = await send(service, tenant, "old")
    async with live(service.url, at(tenant)) as device:
        unread = await device.told("notifications.unread")
        assert ([one["id"] for one in unread["data"]["notifications"]], unread["data"]["unread"]) == ([old], 1)
        await device.told("caught-up")
        await send(service, tenant, "for somebody else", user="bob")
        new = await send(service, tenant, "new", action_url="/files/1", message="hello")
        told = await device.read()
    assert (told["event"], told["data"]["id"], told["user_id"]) == ("notification.created", new, "ann")
    assert told["position"]
    shown = {name: told["data"][name] for name in ("title", "message", "type", "read", "action_url")}
    assert shown == {"title": "new", "message": "hello", "type": "success", "read": False, "action_url": "/files/1"}


async def test_what_one_device_reads_is_read_on_all(service: Running, tenant: str) -> None:
    one, two = await send(service, tenant, "one"), await send(service, tenant, "two")
    async with live(service.url, at(tenant)) as phone, live(service.url, at(tenant)) as laptop:
        await phone.told("caught-up")
        await laptop.told("caught-up")
        await phone.say(action="mark_read", notification_id=one, id="m")
        assert (await phone.told("marked"))["id"] == "m"
        read = await laptop.told("notification.read")
        assert read["data"]["id"] == one
        await laptop.say(action="unread", id="u")
        left = await laptop.told("notifications.unread")
        assert (left["data"]["unread"], [each["id"] for each in left["data"]["notifications"]]) == (1, [two])
        await laptop.say(action="mark_read")
        assert (await phone.told("notification.all_read"))["data"]["user_id"] == "ann"
        await phone.say(action="mark_read", notification_id=str(uuid.uuid4()), id="x")
        refused = await phone.told("error")
        assert (refused["data"]["code"], refused["id"]) == ("not-found", "x")
    async with live(service.url, at(tenant)) as again:
        assert (await again.told("notifications.unread"))["data"]["unread"] == 0


async def test_a_whole_inbox_that_was_read_counts_the_same_on_all_devices_before_and_after_each_is_told(
    service: Running, tenant: str
) -> None:
    ids = {await send(service, tenant, title) for title in ("one", "two", "three")}
    async with live(service.url, at(tenant)) as phone, live(service.url, at(tenant)) as laptop:
        for device in (phone, laptop):
            await device.told("caught-up")
        async with service.client(tenant) as client:
            marked = await client.post("/api/notifications/read", params={"user_id": "ann"})
            seen = {"X-Min-Position": marked.headers["x-position"]}
            counted = await client.get("/api/notifications/unread", params={"user_id": "ann"}, headers=seen)
        assert counted.json()["unread"] == 0
        positions = [(await device.told("notification.all_read"))["position"] for device in (phone, laptop)]
        assert positions[0] == positions[1]
        for device in (phone, laptop):
            await device.say(action="unread", id="before")
            read: set[str] = set()
            counts: list[int] = []
            # What each notification records comes after, and tells of nothing that was not counted.
            while read != ids or not counts:
                told = await device.read()
                if told["event"] == "notification.read":
                    read.add(told["data"]["id"])
                elif told["event"] == "notifications.unread":
                    counts = [told["data"]["unread"]]
            await device.say(action="unread", id="after")
            counts.append((await device.told("notifications.unread"))["data"]["unread"])
            assert counts == [0, 0]


async def test_nobody_marks_what_is_another_users(service: Running, tenant: str) -> None:
    one = await send(service, tenant, "one")
    async with live(service.url, at(tenant, "bob")) as bob:
        await bob.say(action="mark_read", notification_id=one)
        assert (await bob.told("error"))["data"]["status"] in (403, 404, 409)
    async with live(service.url, at(tenant)) as ann:
        assert (await ann.told("notifications.unread"))["data"]["unread"] == 1


async def test_a_device_that_was_away_gets_what_it_missed_in_order(service: Running, tenant: str) -> None:
    async with live(service.url, at(tenant)) as device:
        position = (await device.told("caught-up"))["position"]
    sent = [await send(service, tenant, f"n {n}") for n in range(5)]
    async with live(service.url, at(tenant, after=position)) as device:
        missed = await device.until(lambda message: message["event"] == "caught-up")
    assert [message["data"]["id"] for message in missed[:-1]] == sent
    assert {message["event"] for message in missed[:-1]} == {"notification.created"}
