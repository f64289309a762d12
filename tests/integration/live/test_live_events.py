"""`/ws/{client_id}` on the whole service: patterns, positions, filters, presence, and who may see what."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from adapters.http.access import Access, ApiKey
from adapters.http.live_session import LiveLimits
from tests.support.live import LiveClient, live
from tests.support.running import Running, app_of, listening, running


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[Running]:
    async with running(database_url) as service:
        yield service


@pytest.fixture
def tenant() -> str:
    return f"t-{uuid.uuid4().hex[:12]}"


async def publish(service: Running, tenant: str, event_type: str, **payload: Any) -> str:
    """Publishes an event; returns its position."""
    async with service.client(tenant) as client:
        answer = await client.post("/api/events", json={"event_type": event_type, "payload": payload})
        answer.raise_for_status()
        return answer.headers["X-Position"]


def sold(messages: list[dict[str, Any]]) -> list[int]:
    return [message["data"]["data"]["n"] for message in messages if message["event"] == "shop.sold"]


def at(tenant: str, client: str = "tester") -> str:
    return f"/ws/{client}?tenant={tenant}"


async def test_the_past_and_the_present_join_without_a_gap(service: Running, tenant: str) -> None:
    for n in range(5):
        await publish(service, tenant, "shop.sold", n=n)
    async with live(service.url, at(tenant)) as client:
        past = await client.subscribe("shop.#", after="beginning", id="first")
        assert past[0] == {"event": "subscribed", "id": "first", "pattern": "shop.#"}
        assert sold(past) == [0, 1, 2, 3, 4]
        await publish(service, tenant, "other.thing", n=9)
        position = await publish(service, tenant, "shop.sold", n=5)
        news = await client.told("shop.sold")
    assert news["position"] == position == news["data"]["position"]
    assert (news["pattern"], news["data"]["data"], news["data"]["tenant"]) == ("shop.#", {"n": 5}, tenant)
    assert news["data"]["specversion"] == "1.0"


async def test_a_client_that_comes_back_gets_what_it_missed(service: Running, tenant: str) -> None:
    async with live(service.url, at(tenant)) as client:
        await client.subscribe("shop.#")
        await publish(service, tenant, "shop.sold", n=1)
        position = (await client.told("shop.sold"))["position"]
    for n in (2, 3):
        await publish(service, tenant, "shop.sold", n=n)
    async with live(service.url, at(tenant)) as client:
        assert sold(await client.subscribe("shop.#", after=position)) == [2, 3]


async def test_subscriptions_of_one_connection_are_told_apart(service: Running, tenant: str) -> None:
    async with live(service.url, at(tenant)) as client:
        await client.subscribe("shop.*")
        await client.subscribe("#", user_id="ann")
        await client.subscribe("*.sold", subject="nobody")
        await publish(service, tenant, "shop.sold", n=1, user_id="bob")
        await publish(service, tenant, "shop.sold", n=2, user_id="ann")
        await publish(service, tenant, "end.of", n=3, user_id="ann")
        seen = await client.until(lambda message: message["event"] == "end.of")
        assert [(m["pattern"], m.get("user_id"), m["data"]["data"]["n"]) for m in seen] == [
            ("shop.*", None, 1), ("shop.*", None, 2), ("#", "ann", 2), ("#", "ann", 3),
        ]  # fmt: skip
        await client.say(action="unsubscribe", pattern="#", user_id="ann", id="u")
        assert (await client.told("unsubscribed"))["id"] == "u"
        await client.say(action="unsubscribe", pattern="nothing")
        assert (await client.told("error"))["data"]["code"] == "not-found"
        await publish(service, tenant, "shop.sold", n=4, user_id="ann")
        last = await client.read()
        assert (last["pattern"], last["data"]["data"]["n"]) == ("shop.*", 4)


async def test_only_one_aggregates_events_are_sent(service: Running, tenant: str) -> None:
    async with service.client(tenant) as http, live(service.url, at(tenant)) as client:
        one = (await http.post("/api/jobs", json={"name": "a"})).json()["job_id"]
        other = (await http.post("/api/jobs", json={"name": "b"})).json()["job_id"]
        past = await client.subscribe("job.#", subject=one, after="beginning")
        assert [message["data"]["subject"] for message in past if message["event"] == "job.enqueued"] == [one]
        await http.delete(f"/api/jobs/{other}")
        await http.delete(f"/api/jobs/{one}")
        news = await client.read()
    assert (news["event"], news["data"]["subject"], news["subject"]) == ("job.cancelled", one, one)


async def test_a_position_of_another_log_is_told(service: Running, tenant: str) -> None:
    async with live(service.url, at(tenant)) as client:
        told = (await client.subscribe("shop.#", after="other-5"))[-1]
        assert (told["event"], told["data"]["code"], told["data"]["status"]) == ("reset", "reset", 409)
        await client.say(action="ping", id="p")
        assert await client.read() == {"event": "pong", "id": "p"}


async def test_nonsense_is_refused_and_harms_nothing(service: Running, tenant: str) -> None:
    assert await status_of(service.url, at(tenant) + "".join(f"&a{n}=1" for n in range(30))) == 400
    async with live(service.url, at(tenant)) as client:
        await client.connection.send("{")
        assert (await client.read())["data"]["code"] == "invalid"
        await client.connection.send(b"\x00")
        assert (await client.read())["data"]["code"] == "unsupported-media-type"
        for message in ({"action": "dance"}, {"action": "subscribe", "pattern": "a..b"}, {"action": "ping", "x": 1}):
            await client.say(**message)
            assert (await client.read())["data"]["status"] == 422
        await client.say(action="ping")
        assert (await client.read())["event"] == "pong"


async def test_who_is_there_is_listed_and_told(service: Running, tenant: str) -> None:
    async with live(service.url, at(tenant, "ann")) as ann:
        await ann.say(action="presence", watch=True, id="w")
        listed = await ann.told("presence.list")
        assert ([one["client_id"] for one in listed["data"]["clients"]], listed["id"]) == (["ann"], "w")
        async with live(service.url, at(tenant, "bob")) as bob:
            assert (await ann.told("presence.join"))["data"]["client_id"] == "bob"
            async with live(service.url, at(tenant, "bob")):
                await bob.say(action="presence")
                everybody = (await bob.told("presence.list"))["data"]["clients"]
                assert [one["client_id"] for one in everybody] == ["ann", "bob"]
        left = await ann.read()
        assert (left["event"], left["data"]["client_id"]) == ("presence.leave", "bob")
    async with live(service.url, at("elsewhere", "cy")) as cy:
        await cy.say(action="presence")
        assert [one["client_id"] for one in (await cy.told("presence.list"))["data"]["clients"]] == ["cy"]


async def test_presence_is_seen_across_processes(database_url: str, tenant: str) -> None:
    async with (
        running(database_url) as one,
        running(database_url) as other,
        live(one.url, at(tenant, "ann")) as ann,
    ):
        await ann.say(action="presence", watch=True)
        await ann.told("presence.list")
        async with live(other.url, at(tenant, "bob")):
            assert (await ann.told("presence.join"))["data"]["client_id"] == "bob"
        assert (await ann.told("presence.leave"))["data"]["client_id"] == "bob"


async def test_what_one_process_records_the_other_sends(database_url: str, tenant: str) -> None:
    async with (
        running(database_url) as one,
        running(database_url) as other,
        live(other.url, at(tenant)) as client,
    ):
        await client.subscribe("shop.#")
        for n in range(20):
            await publish(one if n % 2 else other, tenant, "shop.sold", n=n)
        seen = await client.until(lambda message: sold([message]) == [19])
    assert sold(seen) == list(range(20))


async def test_a_tenants_client_sees_nothing_of_another_tenants(service: Running, tenant: str) -> None:
    keys = [ApiKey.of("key-of-the-first", tenant), ApiKey.of("key-of-the-other", f"{tenant}-x")]
    async with listening(app_of(service.system, access=Access(keys))) as port:
        url = f"http://127.0.0.1:{port}"
        for headers in ({}, {"X-API-Key": "wrong"}):
            with pytest.raises(InvalidStatus) as refused:
                async with live(url, additional_headers=headers):
                    pass
            assert refused.value.response.status_code == 401
        with pytest.raises(InvalidStatus) as refused:
            async with live(url, at(tenant), additional_headers={"X-API-Key": "key-of-the-other"}):
                pass
        assert refused.value.response.status_code == 403
        async with (
            live(url, additional_headers={"Authorization": "Bearer key-of-the-first"}) as first,
            live(url, subprotocols=["millrace.v1", browser_key("key-of-the-other")]) as other,
        ):
            assert other.connection.subprotocol == "millrace.v1"
            await first.subscribe("#", after="beginning")
            await other.subscribe("#", after="beginning")
            await publish(service, tenant, "shop.sold", n=1)
            await publish(service, f"{tenant}-x", "shop.sold", n=2)
            await publish(service, tenant, "shop.sold", n=3)
            assert [await next_sold(first), await next_sold(first), await next_sold(other)] == [1, 3, 2]


async def test_limits_are_told(service: Running, tenant: str) -> None:
    limits = LiveLimits(connections=3, tenant_connections=2, subscriptions=2, message_bytes=2_000)
    async with (
        listening(app_of(service.system, limits=limits)) as port,
        live(f"http://127.0.0.1:{port}", at(tenant)) as one,
        live(f"http://127.0.0.1:{port}", at(tenant)) as two,
    ):
        url = f"http://127.0.0.1:{port}"
        assert await status_of(url, at(tenant)) == 429
        async with live(url, at("others")):
            assert await status_of(url, at("still-others")) == 503
            async with httpx.AsyncClient(trust_env=False) as http:
                assert (await http.get(f"{url}/api/events")).status_code == 503
        for pattern in ("a", "b"):
            await one.subscribe(pattern)
        assert (await one.subscribe("c"))[-1]["data"]["code"] == "too-many"
        # The same subscription again takes its own place.
        assert (await one.subscribe("a", after="beginning"))[-1]["event"] == "caught-up"
        await two.connection.send("x" * 100_000)
        with pytest.raises(ConnectionClosed):
            await two.read()
        assert two.connection.close_code == 1009


async def test_a_client_that_takes_nothing_is_cut_and_harms_nobody(service: Running, tenant: str) -> None:
    limits = LiveLimits(patience=0.5)
    async with listening(app_of(service.system, limits=limits)) as port:
        url = f"http://127.0.0.1:{port}"
        async with (
            live(url, at(tenant, "stuck"), max_queue=1) as stuck,
            live(url, at(tenant)) as healthy,
            live(url, at(tenant)) as watcher,
        ):
            await watcher.say(action="presence", watch=True)
            await stuck.say(action="subscribe", pattern="shop.#", after="head")
            await healthy.subscribe("shop.#")
            count = 60
            reading = asyncio.create_task(healthy.until(lambda message: sold([message]) == [count - 1]))
            for n in range(count):
                await publish(service, tenant, "shop.sold", n=n, text="x" * 250_000)
            assert sold(await reading) == list(range(count))
            assert (await watcher.told("presence.leave"))["data"]["client_id"] == "stuck"
            # From here on it reads again: first what was on its way, then how it ended.
            got = [message async for message in rest(stuck)]
            assert stuck.connection.close_code == 4008
            assert json.loads(stuck.connection.close_reason)["position"]
        seen = sold(got)
        assert seen == list(range(len(seen)))
        assert len(seen) < count
        position = next(message["position"] for message in reversed(got) if message["event"] == "shop.sold")
        async with live(url, at(tenant)) as again:
            missed = sold(await again.subscribe("shop.#", after=position))
    assert missed == list(range(len(seen), count))


async def test_the_service_ends_with_clients_connected(database_url: str, tenant: str) -> None:
    async with running(database_url) as service, listening(app_of(service.system)) as port:
        client = live(f"http://127.0.0.1:{port}", at(tenant))
        connected = await client.__aenter__()
        await connected.subscribe("#")
    assert [message async for message in rest(connected)] == []
    assert connected.connection.close_code == 1001
    await client.__aexit__(None, None, None)


async def rest(client: LiveClient) -> AsyncIterator[dict[str, Any]]:
    """What comes until the connection ends."""
    try:
        while True:
            yield await client.read()
    except ConnectionClosed:
        return


async def next_sold(client: LiveClient) -> int:
    return int((await client.told("shop.sold"))["data"]["data"]["n"])


async def status_of(url: str, path: str) -> int:
    """With which status a connection is refused."""
    with pytest.raises(InvalidStatus) as refused:
        async with live(url, path):
            pass
    return refused.value.response.status_code


def browser_key(key: str) -> Any:
    return "millrace.key." + base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")
