"""The edge: every request passes here first, and every response leaves with the same headers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.http.body import media_type
from adapters.http.call import SCOPE_KEY, Call
from adapters.http.guards import SAFE_METHODS, HostGuard, OriginGuard, announced_length
from adapters.http.problems import HttpProblem, problem, too_large, unavailable
from adapters.http.respond import respond_problem
from adapters.http.websocket_refusal import refuse_handshake

logger = logging.getLogger(__name__)

BODY_DEADLINE = 20.0
LINGER_SECONDS = 2.0
LINGER_BODIES = 4
MAX_IN_FLIGHT = 4_000
SECURITY_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
}
CORS_METHODS = "GET, POST, PUT, PATCH, DELETE"
CORS_EXPOSED = "Link, Retry-After, X-Correlation-Id, X-Position"
CORS_MAX_AGE = "600"


class ClientLeft(Exception):
    """Raised where the client closes the connection before its body is complete; nobody is left to answer."""


class Edge:
    """Checks host, origin, content type and size, reads the body, and turns every failure into an answer.

    Args:
        max_body: largest body in bytes.
        body_deadline: seconds in which a body must have arrived.
        max_in_flight: requests that are answered at a time; more get 503.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        allowed_hosts: Iterable[str],
        allowed_origins: Iterable[str],
        max_body: int,
        body_deadline: float = BODY_DEADLINE,
        max_in_flight: int = MAX_IN_FLIGHT,
    ) -> None:
        self._app = app
        self._hosts = HostGuard(allowed_hosts)
        self._origins = OriginGuard(allowed_origins)
        self._max_body = max_body
        self._body_deadline = body_deadline
        self._max_in_flight = max_in_flight
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                self._in_flight += 1
                try:
                    await self._request(scope, receive, send)
                finally:
                    self._in_flight -= 1
            case "websocket":
                await self._websocket(scope, receive, send)
            case _:
                await self._app(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = Call.begin(scope)
        finish = _Finisher(send, call, self._origins.listed(call.headers))
        try:
            if self._in_flight > self._max_in_flight:
                raise unavailable("the service is answering as many requests as it can")
            self._admit(scope, call)
            if _is_preflight(scope, call) and finish.origin is not None:
                await _preflight(call)(scope, receive, finish)
                return
            receive = await self._body(call, receive)
            inner = {**scope, "path": call.route_path, "raw_path": call.route_path.encode(), SCOPE_KEY: call}
            await self._app(inner, receive, finish)
        except ClientLeft:
            return
        except HttpProblem as error:
            await _take_in_the_rest(call, error, receive, LINGER_BODIES * self._max_body)
            await respond_problem(call, error)(scope, receive, finish)
        except Exception:
            logger.exception("request failed", extra={"correlation_id": call.correlation_id})
            if finish.started:
                raise
            mistake = problem(500, "the service made a mistake; its log knows more under the correlation id")
            await respond_problem(call, HttpProblem(mistake))(scope, receive, finish)

    def _admit(self, scope: Scope, call: Call) -> None:
        self._hosts.check(call.headers)
        call.check()
        if scope["method"] not in SAFE_METHODS:
            self._origins.check(call.headers)

    async def _body(self, call: Call, receive: Receive) -> Receive:
        length = announced_length(call.headers, self._max_body)
        if length == 0:
            return receive
        media_type(call)
        try:
            call.body = await asyncio.wait_for(self._read(receive), self._body_deadline)
        except TimeoutError:
            late = problem(408, f"the body did not arrive within {self._body_deadline:g} seconds")
            raise HttpProblem(late, {"Connection": "close"}) from None
        return _replay(call.body, receive)

    async def _read(self, receive: Receive) -> bytes:
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            body += message.get("body", b"")
            if len(body) > self._max_body:
                raise too_large(self._max_body)
            more = message.get("more_body", False)
        return bytes(body)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = Call.begin(scope)
        try:
            self._hosts.check(call.headers)
            call.check()
            self._origins.check(call.headers)
        except HttpProblem as error:
            await refuse_handshake(call, error, scope, receive, send)
            return
        await self._app({**scope, SCOPE_KEY: call}, receive, send)


class _Finisher:
    """Sends a response, with the headers that all of them carry unless the route set its own."""

    def __init__(self, send: Send, call: Call, origin: str | None) -> None:
        self._send = send
        self._correlation_id = call.correlation_id.encode("ascii")
        self.origin = origin
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            message = {**message, "headers": self._complete(message.get("headers", ()))}
        await self._send(message)

    def _complete(self, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        complete = {**SECURITY_HEADERS, b"x-correlation-id": self._correlation_id}
        if self.origin is not None:
            complete[b"access-control-allow-origin"] = self.origin.encode("latin-1")
            complete[b"access-control-expose-headers"] = CORS_EXPOSED.encode("ascii")
            complete[b"vary"] = b"Origin"
        sent = list(headers)
        for name, _ in sent:
            complete.pop(name.lower(), None)
        return sent + list(complete.items())


def _is_preflight(scope: Scope, call: Call) -> bool:
    return scope["method"] == "OPTIONS" and b"access-control-request-method" in call.headers


def _preflight(call: Call) -> Response:
    headers = {
        "Access-Control-Allow-Methods": CORS_METHODS,
        "Access-Control-Max-Age": CORS_MAX_AGE,
    }
    wished = call.headers.get(b"access-control-request-headers")
    if wished is not None:
        headers["Access-Control-Allow-Headers"] = wished.decode("latin-1")
    return Response(status_code=204, headers=headers)


async def _take_in_the_rest(call: Call, error: HttpProblem, receive: Receive, left: int) -> None:
    """Discards up to `left` bytes that are still on their way: closing before they came would lose the answer."""
    expects_more = b"transfer-encoding" in call.headers or call.headers.get(b"content-length", b"0").strip() != b"0"
    if not expects_more or b"expect" in call.headers or error.problem.status in (408, 503):
        return
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return


def _replay(body: bytes, receive: Receive) -> Receive:
    """A receive that gives a body that was read already, and then what comes after it."""
    pending: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay
