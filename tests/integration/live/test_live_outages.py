"""Followers who come while PostgreSQL says nothing are told to wait, and then what they asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from infra.embedded_postgres import EmbeddedPostgres
from tests.support.live import live
from tests.support.postgres import embedded_postgres, frozen
from tests.support.running import running


@pytest.fixture
async def embedded() -> AsyncIterator[tuple[EmbeddedPostgres, str]]:
    async with embedded_postgres() as embedded:
        yield embedded


async def test_a_progress_is_shown_once_it_can_be_read(embedded: tuple[EmbeddedPostgres, str]) -> None:
    server, dsn = embedded
    async with running(dsn) as service, service.client() as http:
        (await http.post("/api/progress", json={"id": "file-1", "metadata": {"name": "a.pdf"}})).raise_for_status()
        async with live(service.url, "/ws/progress?tenant=default") as client:
            async with frozen(server):
                await client.say(action="subscribe", progress_id="file-1")
                assert (await client.told("unavailable"))["subject"] == "file-1"
            shown = await client.told("progress.update")
            assert (shown["snapshot"], shown["data"]["metadata"]) == (True, {"name": "a.pdf"})
            await client.told("caught-up")
            (await http.patch("/api/progress/file-1", json={"progress": 10})).raise_for_status()
            assert (await client.told("progress.update"))["data"]["progress"] == 10


async def test_an_inbox_is_shown_once_it_can_be_read(embedded: tuple[EmbeddedPostgres, str]) -> None:
    server, dsn = embedded
    async with running(dsn) as service, service.client() as http:
        body = {"title": "Hello", "user_id": "kim", "channels": ["in-app"]}
        (await http.post("/api/notifications", json=body)).raise_for_status()
        async with AsyncExitStack() as afterwards:
            async with frozen(server):
                following = live(service.url, "/ws/notifications?tenant=default&user_id=kim")
                client = await afterwards.enter_async_context(following)
                assert (await client.told("unavailable"))["user_id"] == "kim"
            assert (await client.told("notifications.unread"))["data"]["unread"] == 1
            (await http.post("/api/notifications", json=body)).raise_for_status()
            assert (await client.told("notification.created"))["data"]["title"] == "Hello"
