"""Clients of a broadcast in a process of their own, as cheap as they can be: `python -m benchmarks.workloads.live_load
ours|bare PORT PID CLIENTS RATE SECONDS`.

The same messages are published twice: with nobody connected, and with all clients. The difference of the server's CPU
is what the deliveries cost; what publishing costs is in neither.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import time
from collections.abc import Callable
from typing import cast

import httpx
import uvloop

from benchmarks.usage import cpu_of, tree
from benchmarks.workloads.quantiles import quantile

AT = b'"at":'
CAUGHT_UP = b'"event":"caught-up"'
WARM = 20
CONNECT_AT_ONCE = 50
END_SECONDS = 60.0
BARE = (
    b'{"event":"bench.tick","position":"0123456789ab-1234","pattern":"bench.#","data":{"specversion":"1.0",'
    b'"id":"0199c6a8-7cc2-7d3f-8a55-0a4c9d1e2f30","source":"/millrace/event","type":"bench.tick","subject":'
    b'"0199c6a8-7cc2-7d3f-8a55-0a4c9d1e2f30","time":"2026-01-31T12:00:00.123456Z","datacontenttype":"application/json",'
    b'"data":{"at":%d},"eventtype":"bench.tick","tenant":"default","position":"0123456789ab-1234","version":1,'
    b'"correlationid":"0199c6a8-7cc2-7d3f-8a55-0a4c9d1e2f30"}}'
)


class Client(asyncio.Protocol):
    """One WebSocket that notes when each message comes; `seen` is told of every text."""

    def __init__(self, request: bytes, first: bytes, seen: Callable[[bytes], None]) -> None:
        self._request, self._first, self._seen = request, first, seen
        self._rest = b""
        self._is_open = False

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
            assert data.startswith(b"HTTP/1.1 101"), data[:200]
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
            if data[start] == 0x81:
                self._seen(data[start + head : start + head + size])
            start += head + size
        self._rest = data[start:]


def masked(text: bytes) -> bytes:
    """A short text as a client's frame; a mask of zeros leaves it as it is."""
    return bytes((0x81, 0x80 | len(text))) + bytes(4) + text


class Load:
    """The clients of one server, and what they have seen."""

    def __init__(self, kind: str, port: int, pid: int, clients: int) -> None:
        self.kind, self.port, self.pid, self.clients = kind, port, pid, clients
        self.ready = self.delivered = 0
        self.waits: list[float] = []
        self.changed = asyncio.Event()

    def seen(self, text: bytes) -> None:
        at = text.find(AT)
        if at >= 0:
            self.delivered += 1
            sent = int(text[at + len(AT) : text.index(b"}", at)])
            self.waits.append((time.time_ns() - sent) / 1e6)
        elif CAUGHT_UP in text:
            self.ready += 1
        self.changed.set()

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
                    lambda request=request: Client(request.encode(), first, self.seen), "127.0.0.1", self.port
                )
            await self.until(lambda wanted=end: self.ready >= wanted)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(END_SECONDS):
            while not holds():
                self.changed.clear()
                await self.changed.wait()

    async def publish(self, client: httpx.AsyncClient, count: int, rate: float) -> None:
        """So many messages, one after another, each when it is due."""
        began = time.perf_counter()
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            if self.kind == "ours":
                body = {"event_type": "bench.tick", "payload": {"at": time.time_ns()}}
                answer = await client.post("/api/events", json=body)
            else:
                answer = await client.post("/say", content=BARE % time.time_ns())
            answer.raise_for_status()

    def cpu(self) -> float:
        return cpu_of(tree(self.pid))


async def measured(kind: str, port: int, pid: int, clients: int, rate: float, seconds: float) -> dict[str, float]:
    """Microseconds of CPU for each delivery, milliseconds from the command to the client, deliveries a second."""
    load, count = Load(kind, port, pid, clients), int(rate * seconds)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:
        await load.publish(client, WARM, rate)
        before = load.cpu()
        await load.publish(client, count, rate)
        quiet = load.cpu() - before
        await load.connect()
        await load.publish(client, WARM, rate)
        await load.until(lambda: load.delivered == WARM * clients)
        load.delivered, load.waits = 0, []
        before, began = load.cpu(), time.perf_counter()
        await load.publish(client, count, rate)
        await load.until(lambda: load.delivered == count * clients)
        took = time.perf_counter() - began
        cost = load.cpu() - before - quiet
    waits = sorted(load.waits)
    return {
        "cpu": cost * 1e6 / (count * clients),
        "rate": count * clients / took,
        "p50": quantile(waits, 0.5),
        "p99": quantile(waits, 0.99),
        "cores": (cost + quiet) / took,
    }


if __name__ == "__main__":
    kind, port, pid, clients, rate, seconds = sys.argv[1:]
    figures = uvloop.run(measured(kind, int(port), int(pid), int(clients), float(rate), float(seconds)))
    sys.stdout.write(json.dumps(figures))
