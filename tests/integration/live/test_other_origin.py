"""The web components on a page of another origin: the files are anybody's, the feed is not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from tests.support.browser import Page, browsing
from tests.support.running import Running, app_of, listening, running

ITEMS = "[...(document.querySelector('millrace-inbox')?.shadowRoot?.querySelectorAll('li') ?? [])]"


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[Running]:
    async with running(database_url, http=False) as service:
        yield service


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    async with browsing(tmp_path) as page:
        yield page


@pytest.mark.parametrize("listed", [True, False])
async def test_an_inbox_on_a_page_of_another_origin_has_its_code_and_what_it_may_see(
    service: Running, page: Page, listed: bool
) -> None:
    def shown(request: Request) -> HTMLResponse:
        return HTMLResponse(
            "<!doctype html>"
            f'<script type="module" src="{service.url}/web/inbox.js"></script>'
            f'<millrace-inbox user-id="ann" base="{service.url}"></millrace-inbox>'
        )

    async with listening(Starlette(routes=[Route("/", shown)])) as elsewhere:
        origin = f"http://127.0.0.1:{elsewhere}"
        async with listening(app_of(service.system, origins=[origin] if listed else [])) as port:
            service.url = f"http://127.0.0.1:{port}"
            async with service.client() as client:
                body = {"title": "Hello", "user_id": "ann", "channels": ["in-app"]}
                (await client.post("/api/notifications", json=body)).raise_for_status()
            await page.go(origin)
            if listed:
                await page.until(f"{ITEMS}.length === 1")
            else:
                await page.until("document.querySelector('millrace-inbox')?.live?.failures > 1")
                assert await page.find(f"{ITEMS}.length") == 0
            assert await page.find("location.origin") == origin


@pytest.mark.parametrize(
    "name", ["inbox.js", "progress.js", "live.js", "client.js", "react.js", "demo.css", "notifications.css"]
)
async def test_files_that_pages_load_are_for_pages_of_all_origins(service: Running, name: str) -> None:
    async with listening(app_of(service.system)) as port:
        service.url = f"http://127.0.0.1:{port}"
        async with service.client() as client:
            headers = (await client.get(f"/web/{name}", headers={"Origin": "https://shop.example"})).headers
            assert headers["Cross-Origin-Resource-Policy"] == "cross-origin"
            assert headers["Access-Control-Allow-Origin"] == "*"
            for own in ("/web/", "/api/notifications"):
                answer = await client.get(own, headers={"Origin": "https://shop.example"})
                assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
                assert "Access-Control-Allow-Origin" not in answer.headers
