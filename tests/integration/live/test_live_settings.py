"""The live feed of `serve` as an operator starts it keeps to what the settings say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.faults.harness.processes import Service
from tests.support.live import live

LISTED, OF_THE_INBOX, FOREIGN = "https://app.example", "https://inbox.example", "https://evil.example"
SETTINGS = {
    "MILLRACE_ALLOWED_ORIGINS": f'["{LISTED}"]',
    "MILLRACE_MODULES__NOTIFICATIONS__WEBSOCKET__CORS_ORIGINS": f'["{OF_THE_INBOX}"]',
    "MILLRACE_LIVE__TENANT_CONNECTIONS": "2",
    "MILLRACE_LIVE__SUBSCRIPTIONS": "1",
    "MILLRACE_LIVE__MESSAGE_BYTES": "2000",
}


@pytest.fixture
async def service(fresh_database_url: str, tmp_path: Path) -> AsyncIterator[Service]:
    service = Service(tmp_path, database=fresh_database_url, extra=SETTINGS)
    try:
        await service.start()
        await service.ready()
        yield service
    finally:
        await service.close()


async def status_of(service: Service, **options: Any) -> int:
    """With which status a connection is refused."""
    with pytest.raises(InvalidStatus) as refused:
        async with live(service.url, **options):
            pass
    return refused.value.response.status_code


async def test_origins_and_limits_are_those_of_the_settings(service: Service) -> None:
    for origin in (LISTED, OF_THE_INBOX):
        async with live(service.url, origin=origin) as client:
            await client.say(action="ping")
            assert (await client.read())["event"] == "pong"
        async with httpx.AsyncClient(base_url=service.url, trust_env=False, timeout=20) as http:
            asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            allowed = await http.options("/api/notifications", headers=asked)
            assert allowed.headers["access-control-allow-origin"] == origin
    assert await status_of(service, origin=FOREIGN) == 403
    async with live(service.url) as one, live(service.url) as two:
        assert await status_of(service) == 429
        await one.subscribe("a.#")
        assert (await one.subscribe("b.#"))[-1]["data"]["code"] == "too-many"
        await two.connection.send("x" * 3_000)
        with pytest.raises(ConnectionClosed):
            await two.read()
        assert two.connection.close_code == 1009
