"""Crash points at the wire: between a process and its server, a test decides what happens at one exact message.

The product needs no line for it. What a message means is read from the protocol: `tap_postgres.py`, `tap_amqp.py`.
Each process is given the URL of a tap of its own; so a point belongs to one process.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal, Protocol, assert_never

from tests.faults.harness.forwarding import READ_BYTES, Forwarder, Pair, Way, both

# before: the hit, then the message goes on. after: the message has gone on, then the hit.
# instead: the message never arrives; after the hit the connection is closed on both sides.
Place = Literal["before", "after", "instead"]
Hit = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes that are forwarded together, and the points at which they stand."""

    raw: bytes
    points: frozenset[str] = frozenset()


class Wire(Protocol):
    """Reads what one connection carries; every byte comes out again, in order within each direction."""

    def client_sent(self, data: bytes) -> Iterable[Piece]: ...

    def server_sent(self, data: bytes) -> Iterable[Piece]: ...


@dataclass(slots=True, eq=False)
class Armed:
    """Something that will happen once. `await armed.hit(seconds)` waits for it."""

    point: str
    nth: int
    place: Place
    action: Hit
    _fired: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    _acting: asyncio.Task[None] | None = None

    @property
    def has_hit(self) -> bool:
        return self._fired.done()

    async def hit(self, seconds: float = 30.0) -> None:
        """Returns when it has happened; raises what the action raised.

        Raises:
            TimeoutError: the point was not reached within `seconds`.
        """
        await asyncio.wait({self._fired}, timeout=seconds)
        if not self._fired.done():
            raise TimeoutError(f"{self.point} was not reached within {seconds:g} s: {max(self.nth, 0)} more are wanted")
        self._fired.result()

    async def fire(self) -> None:
        # In a task of its own: the process that it kills takes the connection down, and whoever waits for us with it.
        self._acting = asyncio.create_task(self._act(), name=f"at {self.point}")
        await asyncio.shield(self._acting)

    async def _act(self) -> None:
        try:
            await self.action()
        except Exception as error:
            self._fired.set_exception(error)
        else:
            self._fired.set_result(None)


class Tap(Forwarder):
    """Forwards everything, until an armed point is reached.

    Attributes:
        passed: how often each point was reached, armed or not.
    """

    points: frozenset[str] = frozenset()

    def __init__(self, upstream: str | tuple[str, int], name: str = "tap") -> None:
        super().__init__(upstream, name)
        self.passed: Counter[str] = Counter()
        self._armed: list[Armed] = []

    def arm(self, point: str, action: Hit, *, nth: int = 1, place: Place = "instead") -> Armed:
        """Makes `action`, such as a service's `kill`, happen at the `nth` message from now that stands at the point.

        The message waits while the action runs, and nothing else passes on its connection when it is never to arrive.

        Raises:
            ValueError: this tap knows no such point.
        """
        if point not in self.points:
            raise ValueError(f"{point!r} is no point of {self.name}; choose from {sorted(self.points)}")
        armed = Armed(point, nth, place, action)
        self._armed.append(armed)
        return armed

    def disarm(self, armed: Armed) -> None:
        """Lets pass what has not been reached yet; what happens already goes on."""
        if armed in self._armed:
            self._armed.remove(armed)

    @abstractmethod
    def wire(self) -> Wire:
        """A reader for one new connection."""

    async def greet(self, pair: Pair, wire: Wire) -> None:
        """Settles with the client what must be before bytes are carried: for most protocols nothing."""

    async def serve(self, pair: Pair) -> None:
        wire = self.wire()
        await self.greet(pair, wire)
        halted = asyncio.Event()
        await both(
            asyncio.create_task(self._carry(pair, "c2s", wire.client_sent, halted), name=f"{self.name} c2s"),
            asyncio.create_task(self._carry(pair, "s2c", wire.server_sent, halted), name=f"{self.name} s2c"),
        )

    async def _carry(
        self, pair: Pair, way: Way, read: Callable[[bytes], Iterable[Piece]], halted: asyncio.Event
    ) -> None:
        reader, writer = pair.ends(way)
        while data := await reader.read(READ_BYTES):
            for piece in read(data):
                if halted.is_set():
                    return
                armed = self._reached(piece.points)
                if armed is None:
                    writer.write(piece.raw)
                    continue
                match armed.place:
                    case "before":
                        await armed.fire()
                        writer.write(piece.raw)
                    case "after":
                        writer.write(piece.raw)
                        await writer.drain()
                        await armed.fire()
                    case "instead":
                        halted.set()
                        await armed.fire()
                        # As the kernel does for a process that has died: what was written before still arrives.
                        for _, end in (pair.client, pair.server):
                            end.close()
                        return
                    case _:
                        assert_never(armed.place)
            await writer.drain()
        writer.write_eof()

    def _reached(self, points: frozenset[str]) -> Armed | None:
        self.passed.update(points)
        due = None
        for armed in tuple(self._armed):
            if armed.point in points:
                armed.nth -= 1
                if armed.nth <= 0 and due is None:
                    self._armed.remove(armed)
                    due = armed
        return due
