"""Who is not let in to the live feed: told so as over HTTP, with one quiet line in the log."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.support.live import live
from tests.support.running import Running, app_of, listening, running


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[Running]:
    async with running(database_url) as service:
        yield service


async def refusal(url: str, path: str, **options: Any) -> dict[str, Any]:
    """The problem that a handshake is answered with."""
    with pytest.raises(InvalidStatus) as refused:
        async with live(url, path, **options):
            pass
    response = refused.value.response
    assert response.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = json.loads(response.body or b"")
    assert problem["status"] == response.status_code
    return problem


@contextmanager
def lines_of(caplog: pytest.LogCaptureFixture) -> Iterator[list[logging.LogRecord]]:
    """What the server and the live feed log at `info` or above while the block runs."""
    lines: list[logging.LogRecord] = []
    caplog.clear()
    with caplog.at_level(logging.INFO):
        yield lines
    lines += [line for line in caplog.records if line.name.startswith(("adapters.http", "uvicorn"))]


async def test_pages_of_other_sites_are_not_let_in(service: Running) -> None:
    async with listening(app_of(service.system, origins=["https://app.example"])) as port:
        url = f"http://127.0.0.1:{port}"
        for origin in ("https://evil.example", "null", "https://app.example.evil.example"):
            problem = await refusal(url, "/ws/tester", origin=origin)
            assert (problem["status"], problem["code"]) == (403, "forbidden")
            assert "origin" in problem["detail"]
            assert problem["correlation_id"]
        for origin in ("https://app.example", url):
            async with live(url, origin=origin) as client:
                await client.say(action="ping")
                assert (await client.read())["event"] == "pong"


async def test_a_name_that_the_service_does_not_go_by_is_refused(service: Running) -> None:
    problem = await refusal(service.url, "/ws/tester", additional_headers={"Host": "evil.example"})
    assert (problem["status"], problem["code"]) == (403, "forbidden")
    assert "host" in problem["detail"]


@pytest.mark.parametrize(
    "user", ["", "%00", "a%00b", "a%0Ab", "a%0D%0Ab", "%1B%5B2J", "%FF", "a" * 129], ids=lambda user: user[:9]
)
async def test_a_user_that_cannot_be_is_refused(service: Running, user: str) -> None:
    problem = await refusal(service.url, f"/ws/notifications?user_id={user}")
    assert (problem["status"], problem["code"]) == (400, "malformed")
    assert ("user_id" in problem["detail"]) != (user == "%FF")


async def test_the_inbox_of_anybody_else_opens(service: Running) -> None:
    for user in ("ann", "a%20b", "%C3%A9", "%E2%80%A8", "a" * 128):
        async with live(service.url, f"/ws/notifications?user_id={user}") as client:
            assert (await client.read())["event"] == "notifications.unread"


async def test_control_characters_in_messages_are_refused(service: Running) -> None:
    async with live(service.url, "/ws/progress") as client:
        await client.say(action="subscribe", progress_id="a\x00", id="1")
        told = await client.read()
    assert (told["event"], told["data"]["code"], told["data"]["errors"][0]["loc"]) == (
        "error", "invalid", ["subscribe", "progress_id"],
    )  # fmt: skip
    async with live(service.url) as client:
        for wish in ({"pattern": "a\x00"}, {"subject": "a\x1f"}, {"user_id": "\n"}):
            await client.say(action="subscribe", **wish)
            assert (await client.read())["data"]["code"] == "invalid"


async def test_each_refusal_is_one_line_that_alarms_nobody(service: Running, caplog: pytest.LogCaptureFixture) -> None:
    for path, options, status in (
        ("/ws/tester", {"origin": "https://evil.example"}, 403),
        ("/ws/notifications?user_id=%00&ticket=secret", {}, 401),
        ("/ws/notifications?user_id=%00", {}, 400),
    ):
        with lines_of(caplog) as lines:
            problem = await refusal(service.url, path, **options)
        (line,) = lines
        assert (line.levelno, line.action, line.status) == (logging.INFO, "websocket_refused", status)  # type: ignore[attr-defined]
        assert line.correlation_id == problem["correlation_id"]  # type: ignore[attr-defined]
        assert "secret" not in str(vars(line))
