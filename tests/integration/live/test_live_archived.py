"""Who comes back to a position behind which events were archived is told so, on every way to the live feed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from adapters.http.live_session import LiveLimits
from tests.support.browser import Page, browsing
from tests.support.eventually import eventually
from tests.support.live import live
from tests.support.running import Running, app_of, listening, running
from tests.support.sse import DEADLINE, streaming, until
from tests.support.systems import TENANT, enqueued, told

AGE = -1.0  # seconds: whatever was removed is older
USER = "ann"
ITEMS = "[...document.querySelector('millrace-inbox').shadowRoot.querySelectorAll('li')]"


class Positions(NamedTuple):
    """Two tokens: before what was archived, and after which the log is whole."""

    before: str
    first: str


@pytest.fixture
async def service(fresh_database_url: str, tmp_path: Path) -> AsyncIterator[Running]:
    modules = {"jobs": {"storage": {"path": str(tmp_path / "objects")}}}
    async with running(fresh_database_url, modules=modules) as service:
        yield service


async def archived(service: Running, jobs: int = 1, **body: Any) -> Positions:
    """Has the events of jobs leave the log."""
    system = service.system
    before = (await told(system, "event.publish", {"event_type": "shop.opened", "payload": {}})).position
    for _ in range(jobs):
        job_id = await enqueued(system, **body)
        await told(system, "job.cancel", {"job_id": job_id})
        last = (await told(system, "job.remove", {"job_id": job_id})).position
    assert system.archiver is not None
    archiver, moved = system.archiver, 0

    async def streams() -> int:
        nonlocal moved
        moved += (await archiver.sweep(AGE)).streams
        return moved

    await eventually(streams, lambda moved: moved == jobs)
    assert before is not None
    assert last is not None
    return Positions(before, last)


async def kept(service: Running, n: int) -> None:
    await told(service.system, "event.publish", {"event_type": "shop.sold", "payload": {"n": n}})


async def test_a_websocket_is_told_and_goes_on_where_the_log_is_whole(service: Running) -> None:
    positions = await archived(service)
    await kept(service, 1)
    async with live(service.url, f"/ws/tester?tenant={TENANT}") as client:
        gone = (await client.subscribe("shop.#", after=positions.before))[-1]
        assert (gone["event"], gone["pattern"]) == ("gone", "shop.#")
        assert (gone["data"]["code"], gone["data"]["status"]) == ("gone", 410)
        assert gone["data"]["first"] == positions.first
        assert positions.first in gone["data"]["detail"]
        # Nothing follows under that subscription, and the connection is as good as before.
        past = await client.subscribe("shop.#", after=gone["data"]["first"])
        assert [message["event"] for message in past] == ["subscribed", "shop.sold", "caught-up"]
        await kept(service, 2)
        assert (await client.told("shop.sold"))["data"]["data"] == {"n": 2}


@pytest.mark.parametrize("path", ["/ws/notifications?user_id=ann&", "/ws/progress?"])
async def test_the_feeds_of_the_modules_say_it_too(service: Running, path: str) -> None:
    positions = await archived(service)
    async with live(service.url, f"{path}tenant={TENANT}&after={positions.before}") as client:
        await client.say(action="subscribe", progress_id="file-1", after=positions.before)
        gone = await client.told("gone")
    assert gone["data"]["first"] == positions.first


async def test_an_event_stream_is_answered_with_the_problem(service: Running) -> None:
    positions = await archived(service)
    async with service.client(TENANT) as client:
        for wish in ({"params": {"after": positions.before}}, {"headers": {"Last-Event-ID": positions.before}}):
            answer = await client.get("/api/events", **wish)
            assert (answer.status_code, answer.json()["code"]) == (410, "gone")
            assert answer.json()["first"] == positions.first
        async with client.stream("GET", "/api/events", params={"after": positions.first}) as stream:
            assert stream.status_code == 200


async def test_a_reader_that_was_overtaken_by_the_archive_is_told_in_its_stream(service: Running) -> None:
    count = 60
    limits = LiveLimits(patience=600)
    async with (
        listening(app_of(service.system, limits=limits)) as port,
        streaming(f"http://127.0.0.1:{port}", TENANT, "job.#") as slow,
    ):
        await until(slow, "caught-up")
        positions = await archived(service, count, data={"text": "x" * 250_000})
        # Nothing was read until now, and more was said than the feed and the sockets hold.
        got = await until(slow, "gone")
        assert [one async for one in slow] == []
    assert got[-1].name == "gone"
    # A browser that comes back by itself begins at the end: it has no position any more.
    assert got[-1].position == ""
    assert got[-1].data["first"] == positions.first
    seen = [one.data["subject"] for one in got if one.name == "job.enqueued"]
    assert 0 < len(seen) < count
    async with streaming(service.url, TENANT, "job.#", after=positions.first) as again, asyncio.timeout(DEADLINE):
        assert [one.name for one in await until(again, "caught-up")] == ["caught-up"]


async def test_a_page_is_told_and_shows_how_things_are(service: Running, tmp_path: Path) -> None:
    async with browsing(tmp_path / "profile") as page:
        await page.go(f"{service.url}/web/?tenant={TENANT}&progress=file-1")
        for name in ("inbox", "progress"):
            await page.until(f"document.querySelector('millrace-{name}')?.live?.position")
        await told(service.system, "progress.create", {"id": "file-1", "stages": [{"name": "upload"}]})
        await page.until("document.querySelector('millrace-progress').progress")
        await page.find(
            "void (window.told = [], document.addEventListener('millrace-restart',"
            " ({ target, detail }) => window.told.push(`${target.localName} ${detail.reason}`)))"
        )
        positions = await archived(service)
        notification = {"user_id": USER, "title": "Meanwhile", "type": "info", "channels": ["in-app"]}
        await told(service.system, "notification.send", notification)
        for name in ("inbox", "progress"):
            await comes_back_with(page, name, positions.before)
        await page.until("window.told.length === 2")
        assert sorted(await page.find("window.told")) == ["millrace-inbox gone", "millrace-progress gone"]
        await page.until(f"{ITEMS}.length === 1")
        assert await page.find(f"{ITEMS}[0].querySelector('.title').lastChild.textContent") == "Meanwhile"
        await page.until("document.querySelector('millrace-progress').progress?.status === 'pending'")
        # And from then on as ever.
        await told(service.system, "notification.send", {**notification, "title": "Later"})
        await told(service.system, "progress.advance", {"progress_id": "file-1", "stage": "upload"})
        await page.until(f"{ITEMS}.length === 2")
        await page.until("document.querySelector('millrace-progress').progress.status === 'processing'")
        assert await page.find("window.told.length") == 2


async def comes_back_with(page: Page, name: str, position: str) -> None:
    """As after a night without a network."""
    live = f"document.querySelector('millrace-{name}').live"
    await page.find(f"void ({live}.position = {position!r}, {live}.socket?.close())")
