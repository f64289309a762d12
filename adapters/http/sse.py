"""The log as server-sent events, pulled page by page only as fast as the client reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from adapters.http.presence import ClientGone, ShuttingDown, while_wanted
from adapters.http.respond import encode
from millrace.contracts.wire import Accepted, Problem, Refused

Read = Callable[[str], Awaitable[Accepted | Refused]]

HEARTBEAT = 15.0
PAGE = 100
CHUNK_BYTES = 65_536
RECONNECT_MS = 1_000
LONGEST_PAUSE = 5.0
LAST_WORDS = 1.0
TRANSIENT = frozenset({"unavailable", "too-many", "behind"})


async def frames(read: Read, first: Accepted | Refused) -> AsyncIterator[bytes]:
    """The text of the stream, from the first page on; ends where the position is refused.

    Args:
        read: the page after a position; waits for an event for `HEARTBEAT` seconds where there is none.
    """
    yield b"retry: %d\n\n" % RECONNECT_MS
    position, live = "", False
    answer = first
    while True:
        if isinstance(answer, Refused):
            if answer.problem.code not in TRANSIENT:
                yield _refusal(answer.problem)
                return
            yield b": unavailable\n\n"
            await asyncio.sleep(min(answer.problem.retry_after or 1.0, LONGEST_PAUSE))
        else:
            page = answer.result
            for chunk in _chunks(page["events"]):
                yield chunk
            position = page["position"]
            if page["caught_up"] and not live:
                yield frame("caught-up", {"position": position}, position)
            elif not page["events"]:
                # An id without data moves the client's position on and fires nothing.
                yield f": heartbeat\nid: {position}\n\n".encode()
            live = page["caught_up"]
        answer = await read(position)


def frame(name: str, data: object, position: str | None = None) -> bytes:
    """One event of the stream; with an empty position the client forgets its own."""
    mark = "" if position is None else f"id: {position}\n"
    return f"{mark}event: {name}\ndata: ".encode() + encode(data) + b"\n\n"


class EventStream(Response):
    """A response that lasts until the client leaves or the service stops. It holds one page at most."""

    media_type = "text/event-stream"

    def __init__(self, read: Read, first: Accepted | Refused, shutdown: asyncio.Event) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        # A stream has no length, and the base class wrote that of an empty body.
        del self.headers["content-length"]
        self._frames = frames(read, first)
        self._shutdown = shutdown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            await while_wanted(self._pump(send), receive, self._shutdown)
        except ClientGone:
            return
        except ShuttingDown:
            pass
        try:
            await asyncio.wait_for(send({"type": "http.response.body", "body": b"", "more_body": False}), LAST_WORDS)
        except TimeoutError:
            # The client reads nothing; the server closes the connection with its own deadline.
            return

    async def _pump(self, send: Send) -> None:
        async for chunk in self._frames:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})


def _chunks(events: list[Mapping[str, Any]]) -> list[bytes]:
    """The events as frames, joined to chunks that are worth a write."""
    chunks: list[bytes] = []
    chunk = b""
    for event in events:
        chunk += frame(event["eventtype"], event, event["position"])
        if len(chunk) >= CHUNK_BYTES:
            chunks.append(chunk)
            chunk = b""
    return [*chunks, chunk] if chunk else chunks


def _refusal(problem: Problem) -> bytes:
    return frame(problem.code, problem.model_dump(exclude_none=True), "")
