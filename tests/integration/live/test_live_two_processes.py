"""Two processes of the service without a broker: what one of them samples, a client of the other sees."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from adapters.postgres.samples import PostgresSamples
from millrace import Millrace
from tests.support.cloudevents import complete
from tests.support.live import DEADLINE, LiveClient, live
from tests.support.running import Running, running, until
from tests.support.sse import streaming
from tests.support.sse import until as told_until


@pytest.fixture
async def services(fresh_database_url: str) -> AsyncIterator[tuple[Running, Running]]:
    """Both, once each has heard of the other."""
    async with running(fresh_database_url) as first, running(fresh_database_url) as second:
        shared = [service.system.samples for service in (first, second)]
        await until(lambda: all(isinstance(each, PostgresSamples) and each.connected for each in shared), 30)
        yield first, second


@asynccontextmanager
async def updating(app: Millrace, id: str) -> AsyncIterator[None]:
    """Work that tells of itself all the time: whichever updates are recorded, most are not."""

    async def work() -> None:
        percent = 0.0
        while True:
            percent = min(percent + 0.01, 99.0)
            await app.progress.update(id, percent)

    task = asyncio.create_task(work())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def follow(client: LiveClient, id: str) -> None:
    await client.say(action="subscribe", progress_id=id)
    await client.told("caught-up")


def sampled(id: str) -> Callable[[dict[str, Any]], bool]:
    return lambda message: bool(message.get("transient")) and message["data"]["id"] == id


async def test_a_client_of_one_process_sees_what_another_has_sampled(services: tuple[Running, Running]) -> None:
    first, second = services
    async with (
        Millrace(first.url, tenant="acme", timeout=15) as app,
        Millrace(second.url, tenant="globex", timeout=15) as foreign,
        live(second.url, "/ws/progress?tenant=acme") as client,
        live(second.url, "/ws/progress?tenant=globex") as stranger,
    ):
        await app.progress.create(id="busy")
        await foreign.progress.create(id="busy")
        await follow(client, "busy")
        await follow(stranger, "busy")
        async with updating(app, "busy"):
            told = (await client.until(sampled("busy")))[-1]
        assert (told["data"]["status"], "position" in told) == ("processing", False)
        assert 0 < told["data"]["progress"] < 100
        await app.progress.complete("busy")
        ended = (await client.until(lambda message: message["data"].get("status") == "completed"))[-1]
        assert ended["position"]
        # The other tenant's progress of the same name is told of nothing but its own end.
        await foreign.progress.complete("busy")
        seen = await stranger.until(lambda message: message["data"].get("status") == "completed")
        assert not any(message.get("transient") for message in seen)


async def test_event_streams_tell_samples_of_other_processes_too(services: tuple[Running, Running]) -> None:
    first, second = services
    async with (
        Millrace(first.url, tenant="acme", timeout=15) as app,
        streaming(second.url, "acme", "progress.update") as stream,
    ):
        await app.progress.create(id="busy")
        await told_until(stream, "caught-up")
        async with updating(app, "busy"), asyncio.timeout(DEADLINE):
            [*_, told] = await told_until(stream, "progress.update")
        assert (told.data["subject"], told.data["tenant"], told.data["transient"]) == ("busy", "acme", True)
        assert complete(json.dumps(told.data))["source"] == "/millrace/progress"
