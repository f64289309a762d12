"""Server-sent events on the whole service: who reads too slowly is cut, can go on, and harms nobody."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from adapters.http.live_session import LiveLimits
from tests.support.eventually import eventually
from tests.support.live import live
from tests.support.running import Running, app_of, listening, running
from tests.support.sse import DEADLINE, Told, streaming, until

COUNT = 60
# More than the sockets between hold, sixty times.
TEXT = "x" * 250_000


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[Running]:
    async with running(database_url) as service:
        yield service


@pytest.fixture
def tenant() -> str:
    return f"t-{uuid.uuid4().hex[:12]}"


async def publish(service: Running, tenant: str, event_type: str, **payload: Any) -> None:
    async with service.client(tenant) as client:
        answer = await client.post("/api/events", json={"event_type": event_type, "payload": payload})
        answer.raise_for_status()


def sold(events: list[Told]) -> list[int]:
    return [one.data["data"]["n"] for one in events if one.name == "shop.sold"]


async def test_a_reader_that_takes_nothing_is_cut_can_go_on_and_harms_nobody(service: Running, tenant: str) -> None:
    # As long as the stuck reader has one of the three places, a fourth reader finds none.
    limits = LiveLimits(patience=0.5, tenant_connections=3)
    async with listening(app_of(service.system, limits=limits)) as port:
        url = f"http://127.0.0.1:{port}"
        async with (
            streaming(url, tenant, "shop.#") as stuck,
            streaming(url, tenant, "shop.#") as healthy,
            live(url, f"/ws/socket?tenant={tenant}") as socket,
        ):
            await until(stuck, "caught-up")
            await until(healthy, "caught-up")
            await socket.subscribe("shop.#")
            reading = asyncio.create_task(until(healthy, "shop.closed"))
            hearing = asyncio.create_task(socket.until(lambda message: message["event"] == "shop.closed"))
            for n in range(COUNT):
                await publish(service, tenant, "shop.sold", n=n, text=TEXT)
            await publish(service, tenant, "shop.closed")
            assert sold(await reading) == list(range(COUNT))
            heard = [message for message in await hearing if message["event"] == "shop.sold"]
            assert [message["data"]["data"]["n"] for message in heard] == list(range(COUNT))

            async def a_place_is_free() -> bool:
                async with (
                    httpx.AsyncClient(headers={"X-Tenant-Id": tenant}, trust_env=False) as client,
                    client.stream("GET", f"{url}/api/events") as answer,
                ):
                    return answer.status_code == 200

            await eventually(a_place_is_free, bool, seconds=DEADLINE)
            # From here on it reads again: first what was on its way, then the end.
            async with asyncio.timeout(DEADLINE):
                got = [one async for one in stuck]
        seen = sold(got)
        assert seen == list(range(len(seen)))
        assert 0 < len(seen) < COUNT
        async with streaming(url, tenant, "shop.#", after=got[-1].position) as again:
            assert sold(await until(again, "caught-up")) == list(range(len(seen), COUNT))


async def test_a_reader_that_is_merely_slow_is_not_cut(service: Running, tenant: str) -> None:
    limits = LiveLimits(patience=600)
    async with (
        listening(app_of(service.system, limits=limits)) as port,
        streaming(f"http://127.0.0.1:{port}", tenant, "shop.#") as slow,
    ):
        await until(slow, "caught-up")
        for n in range(COUNT):
            await publish(service, tenant, "shop.sold", n=n, text=TEXT)
        await publish(service, tenant, "shop.closed")
        # Nothing was read until now, and more was said than the feed and the sockets hold.
        assert sold(await until(slow, "shop.closed")) == list(range(COUNT))
