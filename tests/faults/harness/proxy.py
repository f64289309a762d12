"""Network faults between a process and one of its servers, changed while both run."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from dataclasses import dataclass
from typing import assert_never

from tests.faults.harness.forwarding import READ_BYTES, Forwarder, Pair, Way, both

# A megabyte may be under way in each direction: less than the sockets of the kernel hold.
CHUNKS = 16
SLOW_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class Pass:
    """Nothing is wrong."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """The server is down: open connections are reset, new ones refused."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Somebody in between kills connections: open ones are reset, new ones are accepted and then reset."""


@dataclass(frozen=True, slots=True)
class Blackhole:
    """Nothing arrives and nobody is told, not even of an end; what is sent meanwhile arrives once it is over, as TCP
    sends again.

    Attributes:
        way: the direction that is dead, None for both.
    """

    way: Way | None = None


@dataclass(frozen=True, slots=True)
class Latency:
    """Everything arrives `seconds` later, in each direction."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Slow:
    """Each connection carries `bytes_per_second` in each direction."""

    bytes_per_second: float


@dataclass(frozen=True, slots=True)
class CutAfter:
    """Once `size` more bytes have gone through, that connection is reset, inside a message or not; then all is well.

    Attributes:
        way: the direction that counts, None for both.
    """

    size: int
    way: Way | None = None


Fault = Pass | Refuse | Reset | Blackhole | Latency | Slow | CutAfter


class FaultProxy(Forwarder):
    """Stands in front of a server. `await proxy.set(Latency(0.2))` changes what happens to all its connections."""

    def __init__(self, upstream: str | tuple[str, int], name: str = "proxy") -> None:
        super().__init__(upstream, name)
        self.fault: Fault = Pass()
        self._changed = asyncio.Event()
        self._passed = 0

    async def set(self, fault: Fault) -> None:
        """Changes the fault; returns when it holds."""
        self.fault, self._passed = fault, 0
        match fault:
            case Refuse():
                self.refuse()
                self.reset_all()
            case Reset():
                await self.listen()
                self.reset_all()
            case Pass() | Blackhole() | Latency() | Slow() | CutAfter():
                await self.listen()
            case _:
                assert_never(fault)
        self._changed.set()
        self._changed = asyncio.Event()

    async def serve(self, pair: Pair) -> None:
        if isinstance(self.fault, Reset | Refuse):
            pair.reset()
            return
        one, other = (asyncio.create_task(self._carry(pair, way), name=f"{self.name} {way}") for way in ("c2s", "s2c"))
        await both(one, other)

    async def _carry(self, pair: Pair, way: Way) -> None:
        reader, writer = pair.ends(way)
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS)
        taking = asyncio.create_task(self._take(reader, under_way))
        try:
            while True:
                due, data = await under_way.get()
                left = due - asyncio.get_running_loop().time()
                if left > 0 and isinstance(self.fault, Latency):
                    await self._pause(left)
                while isinstance(self.fault, Blackhole) and self.fault.way in (way, None):
                    await self._changed.wait()
                if not data:
                    # The other direction may go on: each side ends its own.
                    with suppress(OSError):
                        writer.write_eof()
                    return
                await self._hand_over(pair, way, writer, data)
        finally:
            taking.cancel()
            with suppress(ConnectionError, asyncio.CancelledError):
                await taking

    async def _take(self, reader: StreamReader, under_way: asyncio.Queue[tuple[float, bytes]]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                data = await reader.read(READ_BYTES)
            except ConnectionError:
                data = b""
            delay = self.fault.seconds if isinstance(self.fault, Latency) else 0.0
            await under_way.put((loop.time() + delay, data))
            if not data:
                return

    async def _pause(self, seconds: float) -> None:
        """Waits, until the fault changes at the latest."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    async def _hand_over(self, pair: Pair, way: Way, writer: StreamWriter, data: bytes) -> None:
        match self.fault:
            case Slow(bytes_per_second=rate):
                for start in range(0, len(data), SLOW_BYTES):
                    part = data[start : start + SLOW_BYTES]
                    if isinstance(self.fault, Slow):
                        await self._pause(len(part) / rate)
                    writer.write(part)
                    await writer.drain()
                return
            case CutAfter(size=size, way=counted) if counted in (way, None):
                left = size - self._passed
                self._passed += len(data)
                if len(data) >= left:
                    writer.write(data[:left])
                    await writer.drain()
                    self.fault = Pass()
                    pair.reset()
                    return
            case _:
                pass
        writer.write(data)
        await writer.drain()
