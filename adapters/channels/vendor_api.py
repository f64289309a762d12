"""How providers speak HTTP to their vendors: bounded in time and size, with failures told apart, and no secret told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import httpx

from adapters.channels.provider import reason_of
from domain.channels import Rejected, Unavailable

MAX_ANSWER = 65_536
MAX_RETRY_AFTER = 86_400.0
OVERLOADED = frozenset({408, 425, 429})
REFUSED = frozenset({401, 402, 403})


class Answer(NamedTuple):
    """What a vendor said. `body` is its JSON, or the text where it was none."""

    status: int
    headers: httpx.Headers
    body: Any

    @property
    def ok(self) -> bool:
        """Whether it is of the 200 family."""
        return 200 <= self.status < 300

    def at(self, *path: str | int) -> Any:
        """The value inside the body, or None where something on the way is missing."""
        value = self.body
        for step in path:
            match value, step:
                case dict(), str():
                    value = value.get(step)
                case list(), int() if step < len(value):
                    value = value[step]
                case _:
                    return None
        return value


class VendorApi:
    """One vendor's HTTP interface.

    Args:
        provider: what outcomes call the vendor.
        base_url: where its paths begin.
        secrets: texts that may never appear in an outcome.
        timeout: seconds for one request altogether.
        auth: user name and password, where the vendor wants Basic.
        headers: sent with each request.
    """

    def __init__(
        self,
        provider: str,
        base_url: str,
        *,
        secrets: Sequence[str],
        timeout: float,
        auth: tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.provider, self._timeout = provider, timeout
        self._secrets = [*secrets, *(json.dumps(secret)[1:-1] for secret in secrets)]
        self._client = httpx.AsyncClient(
            base_url=base_url, auth=auth, headers=headers, timeout=timeout, follow_redirects=False
        )

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()

    async def request(self, method: str, path: str, **content: Any) -> Answer | Unavailable:
        """The vendor's answer, or why there is none.

        Args:
            path: below the base URL, or a whole URL.
            content: `json`, `data`, `content`, `headers` and so on, as httpx takes them.
        """
        try:
            async with asyncio.timeout(self._timeout), self._client.stream(method, path, **content) as response:
                return Answer(response.status_code, response.headers, await _body(response))
        except (TimeoutError, httpx.TimeoutException):
            reason = f"no answer within {self._timeout:g} s; whether it was taken is unknown"
            return Unavailable(self.provider, reason)
        except httpx.HTTPError as error:
            return Unavailable(self.provider, self.reason(f"{type(error).__name__}: {error}"))

    def failure(self, answer: Answer, said: Any) -> Rejected | Unavailable:
        """What an answer outside the 200 family means, unless the vendor's own code says better.

        Args:
            said: the vendor's words.
        """
        reason = self.reason(f"{answer.status}: {said or 'no reason given'}")
        if answer.status in REFUSED:
            return Unavailable(self.provider, f"the credentials were refused: {reason}")
        if answer.status in OVERLOADED or answer.status >= 500 or answer.status < 400:
            return Unavailable(self.provider, reason, retry_after(answer.headers.get("Retry-After")))
        return Rejected(self.provider, reason)

    def reason(self, text: str) -> str:
        """The text without our secrets, as one bounded line."""
        return reason_of(text, self._secrets)

    async def check(self, method: str, path: str, **content: Any) -> str | None:
        """What is wrong with a request that changes nothing, or None."""
        answer = await self.request(method, path, **content)
        if isinstance(answer, Unavailable):
            return answer.reason
        return None if answer.ok else self.failure(answer, answer.body).reason


async def _body(response: httpx.Response) -> Any:
    content = bytearray()
    async for part in response.aiter_bytes():
        content += part
        if len(content) > MAX_ANSWER:
            break
    text = bytes(content[:MAX_ANSWER]).decode("utf-8", "replace")
    try:
        return json.loads(text)
    except ValueError:
        return text


def retry_after(value: str | None) -> float | None:
    """Seconds from a Retry-After header, whether it holds seconds or a date; None where it holds neither."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - datetime.now(UTC).timestamp()
    # also false for NaN
    return min(seconds, MAX_RETRY_AFTER) if seconds >= 0 else 0.0 if seconds < 0 else None
