"""The web components in a real browser, on the real service."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from domain.live import Sample
from tests.support.browser import Page, browsing
from tests.support.running import Running, running


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[Running]:
    async with running(database_url) as service:
        yield service


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    async with browsing(tmp_path) as page:
        yield page


@pytest.fixture
def tenant() -> str:
    return f"t-{uuid.uuid4().hex[:12]}"


def sample(tenant: str, id: str, percent: float, **more: object) -> Sample:
    data = {"id": id, "status": "processing", "progress": percent, "stage": "upload", "stage_progress": percent, **more}
    return Sample(tenant, "progress.update", id, data, uuid.uuid4().hex, datetime.now(UTC))


IN_PROGRESS = "document.querySelector('millrace-progress').shadowRoot.querySelector"


async def test_the_files_are_served_as_modules_that_need_no_inline_code(service: Running) -> None:
    async with service.client() as client:
        answers = [await client.get(f"/web/{name}") for name in ("", "live.js", "progress.js", "inbox.js", "demo.css")]
        assert [answer.status_code for answer in answers] == [200] * 5
        assert answers[1].headers["Content-Type"].startswith("text/javascript")
        assert "script-src 'self'" in answers[0].headers["Content-Security-Policy"]
        assert answers[0].headers["X-Content-Type-Options"] == "nosniff"
        for path in ("/web/../pyproject.toml", "/web/%2e%2e/pyproject.toml", "/web/missing.js"):
            assert (await client.get(httpx.URL(service.url + path))).status_code == 404
    for name in ("live", "progress", "inbox", "demo", "theme"):
        text = (Path(__file__).parents[3] / "web" / f"{name}.js").read_text()
        assert "innerHTML" not in text
        assert "insertAdjacentHTML" not in text


async def test_a_bar_moves_with_updates_that_nobody_recorded(service: Running, page: Page, tenant: str) -> None:
    await page.go(f"{service.url}/web/?tenant={tenant}&progress=file-1")
    await page.until("document.querySelector('millrace-progress')?.live?.socket?.readyState === 1")
    for percent in (10.0, 42.0):
        await page.until(f"!({IN_PROGRESS}('.facts').textContent.includes('Reconnecting'))")
        await moved(service, page, tenant, percent)
    bar = f"{IN_PROGRESS}('[role=progressbar]')"
    assert await page.find(f"{bar}.getAttribute('aria-valuetext')") == "42 %, In progress"
    assert await page.find(f"{bar}.firstChild.getBoundingClientRect().width > 0")
    assert await page.find(f"{IN_PROGRESS}('[aria-live]').textContent") == "file-1: In progress, upload"


async def test_stages_and_the_time_left_are_shown_until_the_end(service: Running, page: Page, tenant: str) -> None:
    facts, items = f"{IN_PROGRESS}('.facts').textContent", f"[...{IN_PROGRESS}('ol').children]"
    async with service.client(tenant) as client:

        async def told(path: str, method: str = "POST", **body: object) -> None:
            (await client.request(method, f"/api/progress{path}", json=body)).raise_for_status()

        await told("", id="file-1", stages=["upload", "index"])
        await page.go(f"{service.url}/web/?tenant={tenant}&progress=file-1")
        await page.until(f"document.querySelector('millrace-progress')?.progress && {items}.length === 2")
        await told("/file-1", "PATCH", progress=0, stage="upload")
        await told("/file-1", "PATCH", progress=100, stage="upload")
        await page.until(f"{facts}.includes('left')")
        await told("/file-1", "PATCH", progress=10, stage="index")
        await page.until(f"{facts}.includes('index 10 %')")
        assert await page.find(f"{items}.map((item) => item.dataset.status)") == ["completed", "processing"]
        await told("/file-1/complete")
        await page.until("document.querySelector('millrace-progress').progress.status === 'completed'")
        assert not await page.find(f"{facts}.includes('left')")


async def moved(service: Running, page: Page, tenant: str, percent: float) -> None:
    """Says how far it is until the page shows it: what is said before it listens is lost."""
    bar = f"{IN_PROGRESS}('[role=progressbar]').getAttribute('aria-valuenow')"
    for _ in range(200):
        service.system.samples.emit(sample(tenant, "file-1", percent))
        if await page.find(bar) == f"{percent:g}":
            return
    raise AssertionError(f"the page never showed {percent}")


IN_INBOX = "document.querySelector('millrace-inbox').shadowRoot.querySelector"
ITEMS = "[...(document.querySelector('millrace-inbox')?.shadowRoot.querySelectorAll('li') ?? [])]"


async def send(service: Running, tenant: str, title: str, **more: object) -> None:
    async with service.client(tenant) as client:
        body = {"title": title, "user_id": "ann", "type": "info", "channels": ["in-app"], **more}
        (await client.post("/api/notifications", json=body)).raise_for_status()


async def test_an_inbox_shows_reads_and_never_runs_what_it_is_told(service: Running, page: Page, tenant: str) -> None:
    await send(service, tenant, "First", message="It was there before.")
    await page.go(f"{service.url}/web/?tenant={tenant}")
    await page.until(f"{ITEMS}.length === 1")
    evil = '<img src=x onerror="window.harmed=1">'
    await send(service, tenant, evil, message=evil)
    await page.until(f"{IN_INBOX}('.count').textContent === '2'")
    assert await page.find(f"{ITEMS}[0].querySelector('.title').lastChild.textContent") == evil
    assert await page.find(f"{ITEMS}[0].querySelectorAll('img, a').length") == 0
    assert await page.find("window.harmed === undefined")
    assert await page.find(f"{IN_INBOX}('[aria-live]').textContent") == f"New notification: {evil}"
    # The service refuses such an address; the component would not show it either.
    told = {"id": "x", "title": "x", "action_url": "javascript:window.harmed=1"}
    message = json.dumps({"event": "notification.created", "data": told})
    await page.find(f"document.querySelector('millrace-inbox').hear({message})")
    assert await page.find(f"[{ITEMS}.length, {ITEMS}[0].querySelectorAll('a').length]") == [3, 0]
    await page.find("document.querySelector('millrace-inbox').hear({event: 'notification.removed', data: {id: 'x'}})")
    # By keyboard: down to the older one, and Enter reads it.
    await page.find(f"{ITEMS}[0].focus()")
    await page.press("ArrowDown")
    assert await page.find(f"{IN_INBOX}(':focus').querySelector('.message').textContent") == "It was there before."
    await page.press("Enter")
    await page.until(f"{IN_INBOX}('.count').textContent === '1'")
    assert await page.find(f"{ITEMS}[1].hasAttribute('data-read')")
    await page.find(f"{IN_INBOX}('.all').click()")
    await page.until(f"{IN_INBOX}('.count').textContent === '0'")


async def test_a_page_that_lost_its_connection_comes_back_and_has_everything_once(
    service: Running, page: Page, tenant: str
) -> None:
    await page.go(f"{service.url}/web/?tenant={tenant}")
    await page.until("document.querySelector('millrace-inbox')?.live?.position")
    for n in range(3):
        await send(service, tenant, f"n {n}")
        # As when the network is gone: the page learns of it by the closed socket alone.
        await page.find("document.querySelector('millrace-inbox').live.socket?.close()")
    await send(service, tenant, "n 3")
    await page.until(f"{ITEMS}.length === 4")
    titles = await page.find(f"{ITEMS}.map((item) => item.querySelector('.title').lastChild.textContent)")
    assert titles == ["n 3", "n 2", "n 1", "n 0"]
    assert await page.find(f"{IN_INBOX}('.count').textContent") == "4"


async def test_the_demo_page_shows_work_and_ends_with_a_notification(service: Running, page: Page, tenant: str) -> None:
    await page.go(f"{service.url}/web/?tenant={tenant}")
    await page.until("document.querySelector('millrace-inbox')?.live?.position")
    await page.find("document.querySelector('#start button').click()")
    await page.until(f"document.querySelector('millrace-progress') && {IN_PROGRESS}('ol').children.length === 3")
    await page.until("document.querySelector('millrace-progress').progress?.status === 'completed'")
    bar = f"{IN_PROGRESS}('[role=progressbar]')"
    assert await page.find(f"{bar}.getAttribute('aria-valuetext')") == "100 %, Completed"
    stages = await page.find(f"[...{IN_PROGRESS}('ol').children].map((item) => item.dataset.status)")
    assert stages == ["completed"] * 3
    await page.until(f"{ITEMS}.length === 1")
    assert await page.find(f"{ITEMS}[0].querySelector('.title').lastChild.textContent") == "Interview.mp3 is ready"
