"""The web components in a real browser, on the real service."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
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
    return Sample(tenant, "progress.update", id, data)


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


async def moved(service: Running, page: Page, tenant: str, percent: float) -> None:
    """Says how far it is until the page shows it: what is said before it listens is lost."""
    bar = f"{IN_PROGRESS}('[role=progressbar]').getAttribute('aria-valuenow')"
    for _ in range(200):
        service.system.samples.emit(sample(tenant, "file-1", percent))
        if await page.find(bar) == f"{percent:g}":
            return
    raise AssertionError(f"the page never showed {percent}")
