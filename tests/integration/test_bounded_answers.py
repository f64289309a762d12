"""Whatever a caller sends, the refusal is short: names that the caller has chosen are shown by their beginning."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support.running import running

HUGE = "x" * 200_000


@pytest.fixture
async def client(fresh_database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with running(fresh_database_url) as service, service.client() as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/api/notifications/preferences?user_id=kim", {HUGE: 1}),
        ("PUT", "/api/notifications/preferences?user_id=kim", {"matrix": {HUGE: {"email": 1}}}),
        ("PUT", "/api/notifications/preferences?user_id=kim", {"quiet_hours": {"start": HUGE, "end": "07:00"}}),
        ("PUT", "/api/notifications/contacts/kim", {"timezone": HUGE}),
        ("PUT", "/api/notifications/contacts/kim", {"contacts": {HUGE: "a@example.com"}}),
        ("POST", "/api/notifications", {"user_id": "kim", "title": "t", "template": HUGE}),
        ("POST", "/api/notifications", {"user_id": "kim", "title": "t", "recipient": {HUGE: HUGE}}),
        ("POST", "/api/notifications", {f"{number}-{HUGE[:2_000]}": 1 for number in range(200)}),
        ("POST", "/api/commands/notification.send", {"user_id": HUGE}),
        ("POST", "/api/progress", {"id": HUGE}),
        ("POST", "/api/jobs", {"name": "a", HUGE: 1}),
    ],
)
async def test_a_refusal_does_not_send_back_what_came(
    client: httpx.AsyncClient, method: str, path: str, body: dict[str, Any]
) -> None:
    answer = await client.request(method, path, json=body)
    assert answer.status_code in (400, 404, 422), answer.text[:500]
    assert len(answer.content) < 8_192
    assert HUGE[:2_000] not in answer.text


async def test_the_matrix_of_a_user_has_a_bounded_number_of_channels(client: httpx.AsyncClient) -> None:
    path, channels = "/api/notifications/preferences?user_id=kim", {f"loft-{number}": True for number in range(17)}
    refused = await client.put(path, json={"matrix": {"news": channels}})
    assert (refused.status_code, refused.json()["errors"][0]["loc"]) == (422, ["matrix", "news"])
    channels.pop("loft-16")
    assert (await client.put(path, json={"matrix": {"news": channels}})).status_code == 200
