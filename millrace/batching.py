"""Coalesces commands that are sent at the same time into few messages."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from pydantic_core import to_json

from millrace.errors import MillraceError, Unavailable
from millrace.ids import uuid7
from millrace.transport import Origin, Reply

CONTENT_REFUSALS = frozenset({"malformed", "invalid", "too-large", "unknown-ref", "dependency-cycle"})

Send = Callable[[str, bytes, Origin, str], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a message and the client may hold.

    Attributes:
        items: commands in one message; several on their way overlap with what the service does with the first.
        size: bytes in one message, unless a single command is larger.
        in_flight: messages of one lane that wait for their answer.
        capacity: commands in memory; whoever brings more waits.
    """

    items: int = 250
    size: int = 524_288
    in_flight: int = 4
    capacity: int = 10_000


@dataclass(slots=True)
class _Item:
    id: str
    body: bytes
    answer: asyncio.Future[Reply]


@dataclass(slots=True)
class _Lane:
    name: str
    origin: Origin
    items: deque[_Item] = field(default_factory=deque)
    in_flight: int = 0
    scheduled: bool = False


class Batcher:
    """Sends the commands of one turn of the event loop together; each keeps its own id and gets its own reply.

    Only commands of the same name and origin share a message. Their order within a message is that of `put`.
    """

    def __init__(self, send: Send, limits: Limits | None = None) -> None:
        self._send = send
        self._limits = limits or Limits()
        self._room = asyncio.Semaphore(self._limits.capacity)
        self._lanes: dict[tuple[str, Origin], _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def put(self, name: str, body: bytes, origin: Origin, message_id: str) -> asyncio.Future[Reply]:
        """Takes one command and returns where its reply will be; waits while `capacity` commands are unanswered."""
        await self._room.acquire()
        if self._closed:
            self._room.release()
            raise Unavailable("the client was closed")
        loop = asyncio.get_running_loop()
        item = _Item(message_id, body, loop.create_future())
        lane = self._lanes.setdefault((name, origin), _Lane(name, origin))
        lane.items.append(item)
        if not lane.scheduled:
            lane.scheduled = True
            loop.call_soon(self._flush, lane)
        return item.answer

    async def close(self) -> None:
        """Gives up what has not been answered."""
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for lane in self._lanes.values():
            self._fail(list(lane.items), Unavailable("the client was closed"))
        self._lanes.clear()

    def _flush(self, lane: _Lane) -> None:
        lane.scheduled = False
        while lane.items and lane.in_flight < self._limits.in_flight and not self._closed:
            items = self._take(lane)
            lane.in_flight += 1
            task = asyncio.get_running_loop().create_task(self._deliver(lane, items))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if not lane.items and not lane.in_flight:
            self._lanes.pop((lane.name, lane.origin), None)

    def _take(self, lane: _Lane) -> list[_Item]:
        items = [lane.items.popleft()]
        size = len(items[0].body)
        while lane.items and len(items) < self._limits.items:
            # 64 bytes are what an item adds around its body: its id and the punctuation.
            size += len(lane.items[0].body) + 64
            if size > self._limits.size:
                break
            items.append(lane.items.popleft())
        return items

    async def _deliver(self, lane: _Lane, items: list[_Item]) -> None:
        try:
            if len(items) == 1:
                replies = [await self._send(lane.name, items[0].body, lane.origin, items[0].id)]
            else:
                body = b"[" + b",".join(wrapped(item.id, item.body) for item in items) + b"]"
                replies = await self._apart(lane, items, await self._send(lane.name, body, lane.origin, uuid7()))
        except MillraceError as error:
            self._fail(items, error)
        except BaseException:
            self._fail(items, Unavailable("the client was closed"))
            raise
        else:
            for item, reply in zip(items, replies, strict=True):
                if not item.answer.done():
                    item.answer.set_result(reply)
                self._room.release()
        finally:
            lane.in_flight -= 1
            self._flush(lane)

    async def _apart(self, lane: _Lane, items: list[_Item], reply: Reply) -> list[Reply]:
        if reply["ok"] or reply["error"].get("code") not in CONTENT_REFUSALS:
            return replies_of(reply, len(items))
        # One of them makes the message unreadable; sent alone, it cannot harm the others.
        return [await self._send(lane.name, item.body, lane.origin, item.id) for item in items]

    def _fail(self, items: list[_Item], error: MillraceError) -> None:
        for item in items:
            if not item.answer.done():
                item.answer.set_exception(error)
            self._room.release()


def wrapped(item_id: str, body: bytes) -> bytes:
    """An item of a batch that brings its own id."""
    return b'{"id":%b,"body":%b}' % (to_json(item_id), body)


def replies_of(reply: Reply, count: int) -> list[Reply]:
    """The replies to a batch's items; a refusal of the whole message is the reply to each.

    Raises:
        MillraceError: the service answered another number of items than were sent.
    """
    results = reply.get("results")
    if results is None:
        return [reply] * count
    if len(results) != count:
        raise MillraceError(f"the service answered {len(results)} of {count} commands")
    return list(results)
