"""The base of the stand-ins for vendors: real HTTP servers that check each request as the vendor documents it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from adapters.contracts.channels import RETRY_AFTER, Mode, Taken
from tests.support.running import listening

__all__ = ["RETRY_AFTER", "Mode", "Taken"]


class Refusal(Exception):
    """The vendor's answer to a request that it does not like."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code)
        self.response = response


class Vendor:
    """One vendor. A subclass has `accept`, which checks a request and says what was taken, and `problem`."""

    paths = ("/{path:path}",)

    def __init__(self) -> None:
        self.mode: Mode = "works"
        self.taken: list[Taken] = []
        self.requests: list[Request] = []
        self.seen = asyncio.Event()
        self.url = ""

    async def accept(self, request: Request) -> Response:
        """The vendor's answer to a request while it works."""
        raise NotImplementedError

    def problem(self, status: int, text: str) -> Response:
        """A failure in the vendor's own words."""
        raise NotImplementedError

    async def answer(self, request: Request) -> Response:
        self.requests.append(request)
        self.seen.set()
        match self.mode:
            case "works":
                try:
                    return await self.accept(request)
                except Refusal as refusal:
                    return refusal.response
            case "temporary":
                return self.problem(500, "something went wrong")
            case "overloaded":
                response = self.problem(429, "too many requests")
                response.headers["Retry-After"] = str(RETRY_AFTER)
                return response
            case "silent":
                await request.body()
                while (await request.receive())["type"] != "http.disconnect":
                    pass
                return Response()
            case "breaks":
                return StreamingResponse(_broken(), headers={"Content-Length": "100"}, media_type="application/json")
            case "endless":
                return StreamingResponse(_endless(), media_type="application/json")

    def refuse(self, status: int, text: str) -> Refusal:
        return Refusal(self.problem(status, text))


async def _broken() -> AsyncIterator[bytes]:
    # Fewer bytes than announced: the server cuts the connection.
    yield b'{"id":'


async def _endless() -> AsyncIterator[bytes]:
    # 128 MB: a client that does not stop reading is still there when its deadline comes.
    for _ in range(2_000):
        yield b" " * 65_536


@asynccontextmanager
async def serving(vendor: Vendor) -> AsyncIterator[Vendor]:
    """The vendor on a free port."""
    methods = ["GET", "POST"]
    app = Starlette(routes=[Route(path, vendor.answer, methods=methods) for path in vendor.paths])
    async with listening(app) as port:
        vendor.url = f"http://127.0.0.1:{port}"
        yield vendor


def json_problem(status: int, body: Any, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse(body, status_code=status, headers=dict(headers or {}))


async def form_of(request: Request) -> dict[str, str]:
    """The fields of an urlencoded form."""
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    return dict(parse_qsl((await request.body()).decode(), keep_blank_values=True, strict_parsing=True))
