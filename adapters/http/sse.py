"""A feed as server-sent events, for as long as the client stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, aclosing

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from adapters.http.presence import ClientGone, ShuttingDown, while_wanted

RECONNECT_MS = 1_000
LAST_WORDS = 1.0


class EventStream(Response):
    """A response that lasts until the client leaves, reads too slowly, or the service stops.

    Args:
        frames: what is sent, chunk by chunk.
        place: entered as long as it lasts; may refuse with an `HttpProblem` instead.
        ends: set where the stream is to end: the service stops, or the client does not keep up.
    """

    media_type = "text/event-stream"

    def __init__(
        self, frames: AsyncGenerator[bytes, None], place: AbstractContextManager[None], *ends: asyncio.Event
    ) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        # A stream has no length, and the base class wrote that of an empty body.
        del self.headers["content-length"]
        self._frames, self._place, self._ends = frames, place, ends

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._place:
            await self._stream(receive, send)

    async def _stream(self, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            await while_wanted(self._pump(send), receive, *self._ends)
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
        await send({"type": "http.response.body", "body": b"retry: %d\n\n" % RECONNECT_MS, "more_body": True})
        async with aclosing(self._frames):
            async for chunk in self._frames:
                if chunk:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
