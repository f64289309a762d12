"""Clients of a broadcast in a process of their own, as cheap as they can be: `python -m benchmarks.workloads.live_load
ours|bare PORT PID CLIENTS RATE SECONDS MESSAGE`.

What the bare server is to send is the message that ours sent, but for the time in it.

The same messages are published twice: with nobody connected, and with all clients. The difference of the server's CPU
is what the deliveries cost; what publishing costs is in neither. Then one publisher sends as fast as it is answered.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
import os
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import cast

import httpx
import uvloop

from benchmarks.usage import cpu_of, tree
from benchmarks.workloads.live_browser import left_out, watching
from benchmarks.workloads.quantiles import quantile

AT = b'"at":'
CAUGHT_UP = b'"event":"caught-up"'
WARM = 20
BURST = 300
CONNECT_AT_ONCE = 50
END_SECONDS = 60.0
TEXT, PONG = 0x81, 0x8A


class Client(asyncio.Protocol):
    """One WebSocket: `seen` is told of every text, `lost` of its end."""

    def __init__(
        self, request: bytes, first: bytes, seen: Callable[[bytes], None], lost: Callable[[bytes], None]
    ) -> None:
        self._request, self._first, self._seen, self._lost = request, first, seen, lost
        self._rest = b""
        self._is_open = False
        self._last_words = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        if not self._is_open:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._rest = data
                return
            if not data.startswith(b"HTTP/1.1 101"):
                self._last_words = data
                self._transport.close()
                return
            self._is_open = True
            data = data[end + 4 :]
            if self._first:
                self._transport.write(masked(self._first))
            else:
                self._seen(CAUGHT_UP)
        start = 0
        while len(data) - start >= 2:
            size, head = data[start + 1], 2
            if size == 126:
                size, head = int.from_bytes(data[start + 2 : start + 4], "big"), 4
            if len(data) - start < head + size:
                break
            payload = data[start + head : start + head + size]
            match data[start]:
                case 0x81:
                    self._seen(payload)
                case 0x89:  # who does not answer a ping is cut off after twenty seconds
                    self._transport.write(masked(payload, PONG))
            start += head + size
        self._rest = data[start:]

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(self._last_words or repr(exc).encode())


def masked(payload: bytes, kind: int = TEXT) -> bytes:
    """Less than 126 bytes as a client's frame; a mask of zeros leaves them as they are."""
    return bytes((kind, 0x80 | len(payload))) + bytes(4) + payload


class ClientsFailed(Exception):
    """Raised when clients were cut off, or have not seen everything in time; the text says how many of how many."""


class Load:
    """The clients of one server, and what they have seen.

    Args:
        message: what the bare server is to send, with any time in it; empty for ours, which makes its own.
    """

    def __init__(self, kind: str, port: int, pid: int, clients: int, message: bytes) -> None:
        self.kind, self.port, self.pid, self.clients = kind, port, pid, clients
        self.message = message
        self.ready = self.delivered = self.lost = 0
        self.last_words = b""
        self.waits: list[float] = []
        self.changed = asyncio.Event()

    def see(self, text: bytes) -> None:
        at = text.find(AT)
        if at >= 0:
            self.message = text
            self.delivered += 1
            sent = int(text[at + len(AT) : text.index(b"}", at)])
            self.waits.append((time.time_ns() - sent) / 1e6)
        elif CAUGHT_UP in text:
            self.ready += 1
        self.changed.set()

    def lose(self, last_words: bytes) -> None:
        self.lost += 1
        self.last_words = self.last_words or last_words[:200]
        self.changed.set()

    def stamped(self) -> bytes:
        """The message as it is now."""
        start = self.message.index(AT) + len(AT)
        return self.message[:start] + b"%d" % time.time_ns() + self.message[self.message.index(b"}", start) :]

    async def connect(self) -> None:
        path = "/ws/bench-%d" if self.kind == "ours" else "/ws"
        first = b'{"action":"subscribe","pattern":"bench.#"}' if self.kind == "ours" else b""
        loop = asyncio.get_running_loop()
        for start in range(0, self.clients, CONNECT_AT_ONCE):
            end = min(start + CONNECT_AT_ONCE, self.clients)
            for number in range(start, end):
                where = path % number if "%" in path else path
                key = base64.b64encode(os.urandom(16)).decode()
                request = (
                    f"GET {where} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
                )
                await loop.create_connection(
                    lambda request=request: Client(request.encode(), first, self.see, self.lose), "127.0.0.1", self.port
                )
            await self.until(lambda wanted=end: self.ready >= wanted, "are connected")

    async def all_have(self, count: int) -> None:
        """Waits until every client has seen so many messages."""
        await self.until(lambda: self.delivered >= count * self.clients, f"have seen {count} messages each")

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Waits for what the clients are to see.

        Raises:
            ClientsFailed: it did not come, or a client was cut off.
        """
        try:
            async with asyncio.timeout(END_SECONDS):
                while not holds() and not self.lost:
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            raise ClientsFailed(self._failure(f"not all {what} after {END_SECONDS:g} s")) from None
        if self.lost:
            raise ClientsFailed(self._failure("clients were cut off"))

    def _failure(self, what: str) -> str:
        return (
            f"{what}: of {self.clients} clients {self.ready} were connected, {self.lost} cut off (the first with "
            f"{self.last_words!r}), {self.delivered} messages arrived"
        )

    async def publish(self, client: httpx.AsyncClient, count: int, rate: float) -> None:
        """So many messages, one after another, each when it is due."""
        began = time.perf_counter()
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            if self.kind == "ours":
                body = {"event_type": "bench.tick", "payload": {"at": time.time_ns()}}
                answer = await client.post("/api/events", json=body)
            else:
                answer = await client.post("/say", content=self.stamped())
            answer.raise_for_status()

    def cpu(self) -> float:
        """Seconds of CPU that the server has used."""
        return cpu_of(tree(self.pid))


async def measured(load: Load, rate: float, seconds: float) -> dict[str, object]:
    """Microseconds of CPU for each delivery, milliseconds from the command to the client and to a browser's page,
    deliveries a second; and the message that was delivered."""
    clients, count = load.clients, int(rate * seconds)
    figures: dict[str, float] = {}
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{load.port}", timeout=30, trust_env=False)
        )
        await load.publish(client, WARM, rate)
        before = load.cpu()
        await load.publish(client, count, rate)
        quiet = load.cpu() - before
        await load.connect()
        page = None if left_out() else await stack.enter_async_context(watching(load.kind, load.port))
        await load.publish(client, WARM, rate)
        await load.all_have(WARM)
        if page:
            await page.all_told(WARM)
        load.delivered, load.waits = 0, []
        before, began = load.cpu(), time.perf_counter()
        await load.publish(client, count, rate)
        await load.all_have(count)
        took = time.perf_counter() - began
        cost = load.cpu() - before - quiet
        if page:
            shown = await page.all_told(count)
            figures |= {"browser_p50": quantile(shown, 0.5), "browser_p99": quantile(shown, 0.99)}
        load.delivered, began = 0, time.perf_counter()
        waits, load.waits = sorted(load.waits), []
        await load.publish(client, BURST, math.inf)
        await load.all_have(BURST)
        most = BURST * clients / (time.perf_counter() - began)
    figures |= {
        "cpu": cost * 1e6 / (count * (clients + (page is not None))),
        "rate": count * clients / took,
        "rate_most": most,
        "p50": quantile(waits, 0.5),
        "p99": quantile(waits, 0.99),
        "bytes": len(load.message),
    }
    return {"figures": figures, "message": load.message.decode()}


if __name__ == "__main__":
    kind, port, pid, clients, rate, seconds, message = sys.argv[1:]
    load = Load(kind, int(port), int(pid), int(clients), message.encode())
    try:
        sys.stdout.write(json.dumps(uvloop.run(measured(load, float(rate), float(seconds)))))
    except ClientsFailed as error:
        sys.exit(str(error))
