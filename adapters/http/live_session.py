"""One WebSocket of the live feed once it is open: what it says, what it follows, and how it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError
from starlette.types import Receive, Send

from adapters.http.problems import field_errors, problem
from adapters.http.respond import encode
from adapters.http.websocket_protocol import CUT, FRAMES, text_frame
from handlers.live import Hub
from handlers.live_feed import TRANSIENT, LiveFeed, pause_of
from handlers.live_topics import Topic
from millrace.contracts.feed import SLOW
from millrace.contracts.wire import Accepted, Context, Problem, Refused

logger = logging.getLogger(__name__)
GOING_AWAY = 1001
FAILED = 1011
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LiveLimits:
    """What the live feed takes in.

    Attributes:
        connections: WebSockets and event streams of one process.
        tenant_connections: those of one tenant.
        subscriptions: of one connection.
        message_bytes: of one message that a client sends.
        rate: messages per second that a client's are read at, once it has sent `burst`.
        patience: seconds after which a client that takes nothing is cut.
        heartbeat: seconds without news after which a subscriber is told the position.
    """

    connections: int = 10_000
    tenant_connections: int = 5_000
    subscriptions: int = 64
    message_bytes: int = 65_536
    rate: float = 20.0
    burst: int = 100
    patience: float = 10.0
    heartbeat: float = 15.0


class Session:
    """An open connection.

    Args:
        write: sends frames at once, or returns false where the client has not taken what was sent before.
        shutdown: ends it with 1001, so that its client goes to another process.
    """

    def __init__(
        self,
        hub: Hub,
        context: Context,
        limits: LiveLimits,
        receive: Receive,
        send: Send,
        write: Callable[[bytes], bool],
        shutdown: asyncio.Event,
    ) -> None:
        self.context, self.hub = context, hub
        self._limits, self._receive, self._send, self._shutdown = limits, receive, send, shutdown
        self._write = write
        self._following: dict[Hashable, asyncio.Task[None]] = {}
        self._ended = asyncio.Event()
        self._end = (GOING_AWAY, "")
        self._allowance, self._asked_at = float(limits.burst), 0.0

    async def tell(self, event: str, data: object = None, id: str | None = None, **more: object) -> None:
        """Sends one message."""
        whole = {"event": event, "id": id, "data": data, **more}
        await self.write(text_frame(encode({name: value for name, value in whole.items() if value is not None})))

    async def write(self, frames: bytes) -> None:
        """Sends frames; waits while the client does not take what was sent before."""
        await self._send({"type": FRAMES, "data": frames})

    async def refuse(self, refused: Problem, id: str | None = None) -> None:
        """Tells that what was asked is not done, and why."""
        await self.tell("error", refused.model_dump(exclude_none=True), id)

    async def answer(self, topic: Topic, ask: Callable[[], Awaitable[Accepted | Refused]]) -> Accepted | Refused:
        """What a subscription begins with. The client is told to wait for what cannot be answered right now."""
        while isinstance(answer := await ask(), Refused) and answer.problem.code in TRANSIENT:
            await self.write(topic.format.unavailable(topic))
            await asyncio.sleep(pause_of(answer))
        return answer

    async def head(self, topic: Topic) -> Accepted | Refused:
        """Where a subscription begins that names no place."""
        return await self.answer(topic, lambda: self.hub.past({"after": "head", "limit": 1}, self.context))

    def end(self, code: int, reason: str) -> None:
        """Has the connection closed; the first reason counts."""
        if not self._ended.is_set():
            self._end = (code, reason)
            self._ended.set()

    def feed(self, topic: Topic, after: str) -> LiveFeed:
        """A feed whose client is cut, with a place to resume from, where it does not keep up."""
        return LiveFeed(
            self.hub,
            topic,
            after,
            self.context,
            on_slow=lambda position: self.end(SLOW, encode({"position": position}).decode()),
            write=self._write,
            patience=self._limits.patience,
            heartbeat=self._limits.heartbeat,
        )

    def may_follow(self, key: Hashable) -> bool:
        """Whether one more subscription is within the limit."""
        return key in self._following or len(self._following) < self._limits.subscriptions

    async def follow(self, key: Hashable, frames: AsyncGenerator[bytes, None]) -> None:
        """Sends what a feed gives until it ends; what was followed under the same key is followed no longer."""
        await self.unfollow(key)
        task = asyncio.create_task(self._pump(frames))
        self._following[key] = task
        task.add_done_callback(lambda _: self._following.pop(key, None) if self._following.get(key) is task else None)

    async def unfollow(self, key: Hashable) -> bool:
        """Stops sending; false where nothing was sent under the key."""
        task = self._following.pop(key, None)
        if task is None:
            return False
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return True

    async def run(self, messages: TypeAdapter[T], handle: Callable[[T], Awaitable[None]]) -> None:
        """Until the client leaves, does not keep up, or the service stops."""
        tasks = [
            asyncio.ensure_future(self._listen(messages, handle)),
            asyncio.ensure_future(self._ended.wait()),
            asyncio.ensure_future(self._shutdown.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            following = list(self._following.values())
            for task in (*tasks, *following):
                task.cancel()
            await asyncio.gather(*tasks, *following, return_exceptions=True)
        code, reason = self._end
        await self._send({"type": CUT, "code": code, "reason": reason})

    async def _listen(self, messages: TypeAdapter[T], handle: Callable[[T], Awaitable[None]]) -> None:
        try:
            while True:
                message = await self._receive()
                if message["type"] == "websocket.disconnect":
                    return
                await self._pace()
                await self._handle(message.get("text"), messages, handle)
        except OSError:
            return
        except Exception:
            logger.exception("a live connection failed", extra={"correlation_id": self.context.message_id})
            self.end(FAILED, "the service made a mistake")

    async def _handle(self, text: str | None, messages: TypeAdapter[T], handle: Callable[[T], Awaitable[None]]) -> None:
        if text is None:
            await self.refuse(problem(415, "messages are JSON objects in text frames"))
            return
        try:
            asked = messages.validate_json(text)
        except ValidationError as error:
            await self.refuse(problem(422, "the message is not valid", errors=field_errors(error.errors())))
            return
        await handle(asked)

    async def _pace(self) -> None:
        """Reads no faster than is allowed: who sends more is slowed down by TCP, and only itself."""
        now = asyncio.get_running_loop().time()
        self._allowance = min(self._limits.burst, self._allowance + (now - self._asked_at) * self._limits.rate)
        self._asked_at = now
        self._allowance -= 1.0
        if self._allowance < 0:
            await asyncio.sleep(-self._allowance / self._limits.rate)

    async def _pump(self, frames: AsyncGenerator[bytes, None]) -> None:
        try:
            async with aclosing(frames):
                async for chunk in frames:
                    if chunk:
                        await self.write(chunk)
        except OSError:
            return
        except Exception:
            logger.exception("a subscription failed", extra={"correlation_id": self.context.message_id})
            self.end(FAILED, "the service made a mistake")
