"""Commands and queries over HTTP."""

from __future__ import annotations

import asyncio
from http.client import responses
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydantic_core import from_json

from millrace.repeating import Unanswered, Unreached, repeat_until_answered
from millrace.transport import Origin, Reply

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 10.0
QUESTIONS = 64
# Shorter than the usual keep-alive of servers (5 s), so that a connection is not used while the other end closes it.
IDLE_SECONDS = 4.0
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class HttpTransport:
    """Speaks to the service at `url`; the API key, if any, travels as a bearer token.

    A cancelled call closes its connection, by which the service learns that nobody waits any more.
    """

    def __init__(self, url: str, api_key: str | None = None) -> None:
        # The pool looks at every waiting request for each connection that becomes free, so thousands of questions at
        # once wait here. Commands do not: a worker's renewals and reports must never wait behind questions.
        self._turn = asyncio.Semaphore(QUESTIONS)
        limits = httpx.Limits(max_connections=256, max_keepalive_connections=64, keepalive_expiry=IDLE_SECONDS)
        self._client = http_client(url, api_key, limits)
        self._client.headers.update({"Content-Type": "application/json", "Accept": "application/json"})

    async def execute(
        self,
        name: str,
        body: bytes,
        origin: Origin,
        message_id: str,
        *,
        timeout: float,
        hold: float = 0.0,
        repeat: bool = True,
    ) -> Reply:
        headers = {**_headers(origin), "Idempotency-Key": message_id}

        async def attempt(remaining: float) -> Reply:
            return await self._post(f"/api/commands/{name}", body, headers, min(remaining, hold + ANSWER_SECONDS))

        return await repeat_until_answered(attempt, message_id=message_id, timeout=hold + timeout, repeat=repeat)

    async def query(
        self,
        name: str,
        body: bytes,
        origin: Origin,
        *,
        timeout: float,
        hold: float = 0.0,
        min_position: str | None = None,
    ) -> Reply:
        headers = _headers(origin)
        if min_position is not None:
            headers["X-Min-Position"] = min_position

        async def attempt(remaining: float) -> Reply:
            path, seconds = f"/api/queries/{name}", min(remaining, hold + ANSWER_SECONDS)
            if hold:
                return await self._post(path, body, headers, seconds)
            async with self._turn:
                return await self._post(path, body, headers, seconds)

        return await repeat_until_answered(attempt, message_id=None, timeout=hold + timeout)

    async def close(self) -> None:
        await self._client.aclose()

    async def _post(self, path: str, body: bytes, headers: dict[str, str], seconds: float) -> Reply:
        limits = httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS))
        try:
            response = await self._client.post(path, content=body, headers=headers, timeout=limits)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Unreached(f"cannot connect to {self._client.base_url}: {_reason(error)}") from error
        except httpx.TransportError as error:
            raise Unanswered(f"{self._client.base_url} did not answer: {_reason(error)}") from error
        return read_reply(response.status_code, response.content)


def http_client(url: str, api_key: str | None, limits: httpx.Limits | None = None) -> httpx.AsyncClient:
    """A client of the service at `url`; the API key, if any, travels as a bearer token."""
    return httpx.AsyncClient(
        base_url=url.rstrip("/"),
        headers={} if api_key is None else {"Authorization": f"Bearer {api_key}"},
        limits=limits or httpx.Limits(max_connections=1),
        # A proxy from the environment must not stand between a machine and itself.
        trust_env=urlsplit(url).hostname not in LOOPBACK,
    )


def read_reply(status: int, content: bytes) -> Reply:
    """The reply in a response: a reply, a bare problem, or whatever a proxy in between had to say.

    Raises:
        Unanswered: something in between answered in the service's place, so the command's fate is unknown.
    """
    try:
        answer: Any = from_json(content)
    except ValueError:
        answer = None
    if isinstance(answer, dict):
        if "ok" in answer:
            return answer
        if "code" in answer:
            return {"ok": False, "error": answer}
    if status >= 500 or status < 400:
        raise Unanswered(f"HTTP {status} without a reply of the service")
    code = {401: "unauthorized", 403: "forbidden", 413: "too-large", 429: "too-many"}.get(status, "refused")
    detail = f"HTTP {status} without a reply of the service; is this the address of Millrace?"
    return {
        "ok": False,
        "error": {"title": responses.get(status, "Refused"), "status": status, "code": code, "detail": detail},
    }


def _headers(origin: Origin) -> dict[str, str]:
    headers = {
        "X-Tenant-Id": origin.tenant,
        "X-Company-Id": origin.company,
        "X-Correlation-Id": origin.correlation_id,
        "X-Causation-Id": origin.causation_id,
        "X-Actor": origin.actor,
        "traceparent": origin.traceparent,
    }
    return {name: value for name, value in headers.items() if value is not None}


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
