"""Commands and queries over HTTP by `urllib`, one thread each: slow, and small enough to read."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from millrace.repeating import Unanswered, Unreached, repeat_until_answered
from millrace.transport import Origin, Reply
from millrace.transport_http import read_reply

ANSWER_SECONDS = 10.0


class UrllibTransport:
    """Speaks to the service at `std+http://host:port`."""

    def __init__(self, url: str, api_key: str | None = None) -> None:
        self._url = url.removeprefix("std+").rstrip("/")
        self._headers = {"Content-Type": "application/json"}
        if api_key is not None:
            self._headers["Authorization"] = f"Bearer {api_key}"
        # A held claim and each reader of the log take one thread.
        self._threads = ThreadPoolExecutor(32, "millrace-stdlib")
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

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
        headers = {"Idempotency-Key": message_id}

        async def attempt(remaining: float) -> Reply:
            return await self._post(f"commands/{name}", body, origin, headers, min(remaining, hold + ANSWER_SECONDS))

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
        headers = {} if min_position is None else {"X-Min-Position": min_position}

        async def attempt(remaining: float) -> Reply:
            return await self._post(f"queries/{name}", body, origin, headers, min(remaining, hold + ANSWER_SECONDS))

        return await repeat_until_answered(attempt, message_id=None, timeout=hold + timeout)

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _post(self, path: str, body: bytes, origin: Origin, own: dict[str, str], seconds: float) -> Reply:
        named = {
            "X-Tenant-Id": origin.tenant,
            "X-Company-Id": origin.company,
            "X-Correlation-Id": origin.correlation_id,
            "X-Causation-Id": origin.causation_id,
            "X-Actor": origin.actor,
            "traceparent": origin.traceparent,
        }
        headers = self._headers | own | {name: value for name, value in named.items() if value is not None}
        request = urllib.request.Request(f"{self._url}/api/{path}", body, headers)
        loop = asyncio.get_running_loop()
        return read_reply(*await loop.run_in_executor(self._threads, self._answer, request, seconds))

    def _answer(self, request: urllib.request.Request, seconds: float) -> tuple[int, bytes]:
        """Status and content.

        Raises:
            Unreached: nothing was sent.
            Unanswered: it was, and nobody knows what became of it.
        """
        try:
            with self._opener.open(request, timeout=seconds) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.read()
        except urllib.error.URLError as error:
            if isinstance(error.reason, ConnectionRefusedError):
                raise Unreached(f"cannot connect to {self._url}: {error.reason}") from error
            raise Unanswered(f"{self._url} did not answer: {error.reason}") from error
        except OSError as error:
            raise Unanswered(f"{self._url} did not answer: {error}") from error
