"""One subscriber's way along the log: the past page by page, then live, without a gap, a repeat or a reorder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

from handlers.live import Feed, Hub
from handlers.live_topics import LiveEvent, Topic
from millrace.contracts.wire import Accepted, Context, Refused, Token

PAGE = 100
CHUNK_BYTES = 65_536
HEARTBEAT = 15.0
MOST_FRAMES = 256
MOST_BYTES = 1_048_576
PATIENCE = 10.0
LONGEST_PAUSE = 5.0
TRANSIENT = frozenset({"unavailable", "too-many", "behind"})


class LiveFeed(Feed):
    """Implements `handlers.live.Feed`; `frames` gives what goes to the client, in whatever protocol the topic has.

    It holds one page of the past, or 256 frames and 1 MiB of what is live. When these are full, the feed reads on from
    the log at the client's own speed. A client that does not take a chunk for ten seconds is cut.

    Args:
        on_slow: told the position to resume from where the client takes nothing.
        write: sends a live frame at once, or returns false where the client has not taken what was sent before. It
            spares the turn of a task for every frame and client, which is most of what a delivery costs.
        patience, heartbeat: seconds.
    """

    def __init__(
        self,
        hub: Hub,
        topic: Topic,
        after: str,
        context: Context,
        *,
        on_slow: Callable[[str], None],
        write: Callable[[bytes], bool] | None = None,
        patience: float = PATIENCE,
        heartbeat: float = HEARTBEAT,
    ) -> None:
        self.topic, self._after, self._reached = topic, after, 0
        self._hub, self._context, self._on_slow, self._write = hub, context, on_slow, write
        self._patience, self._heartbeat = patience, heartbeat
        self._buffer: list[bytes] = []
        self._bytes = 0
        self._floor = self._last = 0
        self._joined = self._behind = self._due = self._wrote = False
        self._waiter: asyncio.Future[None] | None = None
        self._now = asyncio.get_running_loop().time
        self._given_at: float | None = None
        self._quiet_since = self._now()

    @property
    def position(self) -> str:
        """Token of what the client was given last; it resumes from there."""
        return self._hub.token_of(self._reached) if self._reached else self._after

    def deliver(self, position: int, frame: bytes) -> None:
        if position and position <= self._floor:
            return
        if self._write is not None and self._is_idle() and self._write(frame):
            self._wrote = True
            if position:
                self._reached = self._last = position
            return
        if position:
            if len(self._buffer) >= MOST_FRAMES or self._bytes > MOST_BYTES:
                self._hub.leave(self)
                self.fall_behind()
                return
            self._last = position
        elif len(self._buffer) >= MOST_FRAMES or self._bytes > MOST_BYTES:
            # A sample may be lost: the next one says more.
            return
        self._buffer.append(frame)
        self._bytes += len(frame)
        self._wake()

    def _is_idle(self) -> bool:
        """Whether everything before has been sent and the feed waits for more."""
        return not self._buffer and self._waiter is not None and not self._waiter.done()

    def fall_behind(self) -> None:
        self._behind = True
        self._wake()

    def tick(self) -> None:
        now = self._now()
        if self._wrote:
            self._wrote, self._quiet_since = False, now
        if self._given_at is not None:
            if now - self._given_at > self._patience:
                self._given_at = None
                self._on_slow(self.position)
        elif self._waiter is not None and now - self._quiet_since >= self._heartbeat:
            self._due = True
            self._wake()

    async def first_page(self) -> Accepted | Refused:
        """The page after the position, for who wants to know before anything is sent whether it can be read."""
        return await self._read()

    async def frames(self, first: Accepted | Refused | None = None) -> AsyncGenerator[bytes, None]:
        """What the client is sent, chunk by chunk; ends where the position is refused.

        Args:
            first: the page after the position, where that was read already.
        """
        self._hub.open(self)
        try:
            answer = first
            while True:
                async for chunk in self._past(answer):
                    yield self._given(chunk)
                    self._taken()
                if not self._joined:
                    return
                async for chunk in self._live():
                    yield self._given(chunk)
                    self._taken()
                answer = None
        finally:
            self._hub.close(self)

    async def _past(self, answer: Accepted | Refused | None) -> AsyncGenerator[bytes, None]:
        """Up to where the feed joins the hub, or its position is refused."""
        self._joined = False
        format = self.topic.format
        while True:
            if answer is None:
                answer = await self._read()
            if isinstance(answer, Refused):
                if answer.problem.code not in TRANSIENT:
                    yield format.refusal(self.topic, answer.problem)
                    return
                yield format.unavailable(self.topic)
                await asyncio.sleep(pause_of(answer))
            else:
                self._after, self._reached = self.position, 0
                for position, chunk in self._chunks(answer.result["events"]):
                    yield chunk
                    self._after = position
                self._after = answer.result["position"]
                reached = Token.parse(self._after).position
                if answer.result["caught_up"] and self._hub.join(self, reached):
                    self._floor = self._last = self._reached = reached
                    self._joined, self._behind = True, False
                    yield format.caught_up(self.topic, self.position)
                    return
                if not answer.result["events"]:
                    # A long stretch without a match: the client's position moves on.
                    yield format.heartbeat(self.topic, self.position)
            answer = None

    async def _live(self) -> AsyncGenerator[bytes, None]:
        while True:
            if not self._buffer:
                if self._behind:
                    return
                await self._something()
            if self._buffer:
                chunk, position = b"".join(self._buffer), self._last
                self._buffer, self._bytes = [], 0
                yield chunk
                self._reached = position
            elif self._due and not self._behind:
                self._reached = max(self._hub.position, self._floor)
                yield self.topic.format.heartbeat(self.topic, self.position)
            self._due = False

    async def _something(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _given(self, chunk: bytes) -> bytes:
        self._given_at = self._quiet_since = self._now()
        return chunk

    def _taken(self) -> None:
        self._given_at = None

    async def _read(self) -> Accepted | Refused:
        body: dict[str, Any] = {"after": self.position, "pattern": self.topic.pattern, "limit": PAGE}
        if self.topic.subject is not None:
            body["subject"] = self.topic.subject
        return await self._hub.past(body, self._context)

    def _chunks(self, events: Sequence[dict[str, Any]]) -> list[tuple[str, bytes]]:
        """The events as frames, joined to chunks that are worth a write, each with the position at its end."""
        chunks: list[tuple[str, bytes]] = []
        chunk: list[bytes] = []
        size = 0
        for cloud in events:
            event = LiveEvent.of(cloud)
            if not self.topic.takes(event):
                continue
            frame = self.topic.format.event(event, self.topic)
            chunk.append(frame)
            size += len(frame)
            if size >= CHUNK_BYTES:
                chunks.append((cloud["position"], b"".join(chunk)))
                chunk, size = [], 0
        if chunk:
            chunks.append((events[-1]["position"], b"".join(chunk)))
        return chunks


def pause_of(refused: Refused) -> float:
    """Seconds after which a page that could not be had is asked for again."""
    return min(refused.problem.retry_after or 1.0, LONGEST_PAUSE)
