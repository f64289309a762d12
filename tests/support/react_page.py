"""A page of an application that has React and modules of its own, on another origin than the service."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.e2e.test_docs import ADDRESS
from tests.support.browser import Page
from tests.support.react import modules
from tests.support.running import Running, app_of, listening


@dataclass(frozen=True, slots=True)
class Place:
    """A tenant of its own in a running service."""

    service: Running
    tenant: str

    async def told(self, path: str, method: str = "POST", **body: object) -> None:
        async with self.service.client(self.tenant) as client:
            (await client.request(method, f"/api{path}", json=body)).raise_for_status()

    async def send(self, title: str, user_id: str = "ann", **more: object) -> None:
        await self.told("/notifications", title=title, user_id=user_id, channels=["in-app"], **more)

    async def has_read_all(self) -> bool:
        async with self.service.client(self.tenant) as client:
            answer = await client.get("/api/notifications/unread", params={"user_id": "ann"})
            return bool(answer.json()["unread"] == 0)


def html(script: str, imports: Mapping[str, str]) -> str:
    places = json.dumps({"imports": imports})
    return (
        f'<!doctype html><html lang="en"><script type="importmap">{places}</script><div id="root"></div>'
        f'<script type="module">{script}</script></html>'
    )


@asynccontextmanager
async def application(place: Place, page: Page, version: str, shown: str, **more: str) -> AsyncIterator[str]:
    """The origin of an application that has React and modules of its own, and that the service lets in.

    `shown` is its page; that and the modules name the service by the address of the documentation, and no tenant.
    """
    files = {f"/{name.replace('/', '-')}.js": text for name, text in {**modules(version), **more}.items()}
    texts = {"/": shown, **files}

    async def answer(request: Request) -> Response:
        kind = "text/html" if request.url.path == "/" else "text/javascript"
        text = texts[request.url.path].replace(f'base: "{ADDRESS}"', f'base: "{ADDRESS}", tenant: "{place.tenant}"')
        return Response(text.replace(ADDRESS, place.service.url), media_type=kind)

    async with listening(Starlette(routes=[Route(path, answer) for path in texts])) as port:
        origin = f"http://127.0.0.1:{port}"
        async with listening(app_of(place.service.system, origins=[origin])) as own:
            place.service.url = f"http://127.0.0.1:{own}"
            yield origin
            # A page comes back as soon as its connection ends, also to a server that is about to end.
            await page.go("about:blank")


def imports(version: str, *more: str) -> dict[str, str]:
    return {name: f"/{name.replace('/', '-')}.js" for name in (*modules(version), *more)}
