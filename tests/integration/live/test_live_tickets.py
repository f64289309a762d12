"""Tickets: a page without a key is let in once, and sees what it is meant to see."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from adapters.http.access import Access, ApiKey
from tests.support.live import live
from tests.support.running import app_of, listening, running

KEY = "key-of-the-backend"


@pytest.fixture
async def backend(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """An application's backend, which has a key."""
    tenant = f"t-{uuid.uuid4().hex[:12]}"
    async with (
        running(database_url, http=False) as service,
        listening(app_of(service.system, access=Access([ApiKey.of(KEY, tenant)]))) as port,
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers={"X-API-Key": KEY}, trust_env=False, timeout=20
        ) as client,
    ):
        yield client


async def ticket(backend: httpx.AsyncClient, **wish: Any) -> str:
    answer = await backend.post("/api/live/tickets", json=wish)
    assert answer.status_code == 201, answer.text
    assert answer.json()["expires_in"] == wish.get("seconds", 30)
    return str(answer.json()["ticket"])


async def refusal(backend: httpx.AsyncClient, path: str) -> int:
    with pytest.raises(InvalidStatus) as refused:
        async with live(str(backend.base_url).rstrip("/"), path):
            pass
    return refused.value.response.status_code


async def test_a_ticket_lets_one_connection_in_once(backend: httpx.AsyncClient) -> None:
    url = str(backend.base_url).rstrip("/")
    path = f"/ws/page?ticket={await ticket(backend)}"
    async with live(url, path) as page:
        await backend.post("/api/events", json={"event_type": "shop.sold", "payload": {}})
        assert "shop.sold" in [message["event"] for message in await page.subscribe("#", after="beginning")]
        await page.say(action="presence")
        assert (await page.told("presence.list"))["data"]["clients"][0]["client_id"] == "page"
    assert await refusal(backend, path) == 401
    assert await refusal(backend, "/ws/page?ticket=made-up") == 401
    assert await refusal(backend, "/ws/page") == 401
    assert (await backend.post("/api/live/tickets", json={"seconds": 0})).status_code == 422


async def test_a_ticket_for_a_user_shows_that_user_s_events_alone(backend: httpx.AsyncClient) -> None:
    url = str(backend.base_url).rstrip("/")
    assert await refusal(backend, f"/ws/notifications?user_id=bob&ticket={await ticket(backend, user_id='ann')}") == 403
    async with live(url, f"/ws/notifications?user_id=ann&ticket={await ticket(backend, user_id='ann')}") as page:
        assert (await page.told("notifications.unread"))["data"]["unread"] == 0
    async with live(url, f"/ws/page?ticket={await ticket(backend, user_id='ann')}") as page:
        for more in ({}, {"user_id": "bob"}, {"subject": "ann"}):
            assert (await page.subscribe("#", **more))[-1]["data"]["code"] == "forbidden"
        assert (await page.subscribe("#", user_id="ann"))[-1]["event"] == "caught-up"
        await page.say(action="presence")
        assert (await page.told("error"))["data"]["code"] == "forbidden"
        await backend.post("/api/events", json={"event_type": "a.b", "payload": {"user_id": "bob"}})
        await backend.post("/api/events", json={"event_type": "a.b", "payload": {"user_id": "ann"}})
        assert (await page.told("a.b"))["data"]["data"] == {"user_id": "ann"}


async def test_a_ticket_for_a_progress_shows_that_one(backend: httpx.AsyncClient) -> None:
    url = str(backend.base_url).rstrip("/")
    for id in ("mine", "other"):
        (await backend.post("/api/progress", json={"id": id})).raise_for_status()
    async with live(url, f"/ws/progress?ticket={await ticket(backend, progress_id='mine')}") as page:
        await page.say(action="subscribe", progress_id="other")
        assert (await page.told("error"))["data"]["code"] == "forbidden"
        await page.say(action="subscribe", progress_id="mine")
        assert (await page.told("progress.update"))["data"]["id"] == "mine"
