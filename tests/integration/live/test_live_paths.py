"""The live feeds of the modules answer where the configuration says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from websockets.exceptions import InvalidStatus

from tests.support.live import live
from tests.support.running import Running, running

MODULES = {
    "progress": {"realtime": {"websocket_url": "wss://example.org/ws/how-far"}},
    "notifications": {"websocket": {"path": "/inbox/live"}},
}


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[Running]:
    async with running(database_url, modules=MODULES) as service:
        yield service


async def test_they_answer_at_the_paths_of_the_configuration(service: Running) -> None:
    async with live(service.url, "/inbox/live?user_id=ann") as client:
        assert (await client.read())["event"] == "notifications.unread"
    async with live(service.url, "/ws/how-far") as client:
        await client.say(action="subscribe", progress_id="file-1")
        assert (await client.read())["data"] == {"progress_id": "file-1"}


@pytest.mark.parametrize(
    ("usual", "now"), [("/ws/notifications?user_id=ann", "/inbox/live"), ("/ws/progress", "/ws/how-far")]
)
async def test_the_usual_paths_say_where_they_are_now(service: Running, usual: str, now: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with live(service.url, usual):
            pass
    problem = json.loads(refused.value.response.body or b"")
    assert (problem["status"], problem["detail"]) == (404, f"this feed is at {now}")


async def test_the_general_feed_stays_where_it_is(service: Running) -> None:
    async with live(service.url, "/ws/tester") as client:
        await client.say(action="ping")
        assert (await client.read())["event"] == "pong"
