"""The load generator, a process of its own: `python -m benchmarks.workloads.http_load PORT[,PORT…] RATE SECONDS`.

Requests are written by hand over kept connections, because a client library would cost more CPU than the service.
An open loop: what is due is sent whether or not earlier requests have been answered.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import resource
import statistics
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import uvloop

from benchmarks.workloads.quantiles import quantile

MIX = ("enqueue", "get", "enqueue", "list", "enqueue", "get", "stats", "enqueue", "get", "cancel")
WARM = 300
CONNECTIONS = 200
ANSWER_SECONDS = 20.0
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
BODY = b'{"name":"nop","queue":"bench","data":{"i":1}}'
GET = b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
DELETE = b"DELETE %b HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
POST = b"POST /api/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"


class Connection(asyncio.Protocol):
    """One kept connection with one request under way at most."""

    def __init__(self) -> None:
        self._received = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((0, b""))

    @property
    def closed(self) -> bool:
        """Whether the service has ended it, as it does with one that nobody has used for a while."""
        return self._transport.is_closing()

    def request(self, data: bytes) -> asyncio.Future[tuple[int, bytes]]:
        """Sends it; the future becomes status and body, status 0 where the connection was lost."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if separator and length and len(body) >= int(length[1]) and self._answer is not None:
            self._received = b""
            self._answer.set_result((int(head[9:12]), body))


@dataclass(slots=True)
class Load:
    """What is sent and how it was answered: milliseconds of the good answers, statuses of the others."""

    ports: Sequence[int]
    free: deque[Connection] = field(default_factory=deque)
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    made: int = 0
    jobs: list[bytes] = field(default_factory=list)
    cancellable: deque[bytes] = field(default_factory=deque)
    took: list[float] = field(default_factory=list)
    errors: list[int] = field(default_factory=list)

    async def send(self, kind: str, due: float) -> None:
        """One request, from the moment it is due."""
        connection = await self._connection()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                status, body = await connection.request(self._request(kind))
        except TimeoutError:
            self.errors.append(0)
            self.made -= 1
            return
        if status == 0:
            self.made -= 1
        else:
            self.free.append(connection)
        if self.waiting:
            self.waiting.popleft().set_result(None)
        if 200 <= status < 300:
            self.took.append((time.perf_counter() - due) * 1e3)
            if kind == "enqueue":
                job = json.loads(body)["job_id"].encode()
                self.jobs.append(job)
                self.cancellable.append(job)
        else:
            self.errors.append(status)

    async def _connection(self) -> Connection:
        while True:
            while self.free:
                if not (connection := self.free.pop()).closed:
                    return connection
                self.made -= 1
            if self.made < CONNECTIONS:
                port = self.ports[self.made % len(self.ports)]
                self.made += 1
                _, protocol = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
                return protocol
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.waiting.append(turn)
            await turn

    def _request(self, kind: str) -> bytes:
        match kind:
            case "enqueue":
                return POST % (len(BODY), BODY)
            case "get":
                # Not the newest: the read model follows within moments.
                return GET % (b"/api/jobs/" + random.choice(self.jobs[: -WARM // 2]))
            case "cancel":
                return DELETE % (b"/api/jobs/" + self.cancellable.popleft())
            case "list":
                return GET % b"/api/jobs?queue=bench&limit=20"
            case _:
                return GET % b"/api/jobs/stats"


async def run(ports: Sequence[int], rate: int, seconds: int) -> dict[str, float]:
    """Sends `rate` requests a second for `seconds`, after some jobs to ask about."""
    load = Load(ports)
    for _ in range(WARM):
        await load.send("enqueue", time.perf_counter())
    load.took.clear()
    if load.errors:
        raise SystemExit(f"the first requests were answered with {load.errors[0]}")
    usage, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    tasks = []
    for number in range(rate * seconds):
        due = start + number / rate
        if (early := due - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        elif number % 50 == 0:
            await asyncio.sleep(0)
        tasks.append(asyncio.create_task(load.send(MIX[number % len(MIX)], due)))
    await asyncio.gather(*tasks)
    elapsed, used = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    return {
        "http_rate": len(load.took) / elapsed,
        "http_share": len(load.took) / elapsed / rate,
        "http_errors": len(load.errors),
        **{f"http_errors_{status or 'unanswered'}": count for status, count in Counter(load.errors).items()},
        "http_p50": statistics.median(load.took),
        "http_p95": quantile(load.took, 0.95),
        "http_p99": quantile(load.took, 0.99),
        "http_generator_cpu": (used.ru_utime + used.ru_stime - usage.ru_utime - usage.ru_stime) / elapsed,
    }


if __name__ == "__main__":
    doors = [int(port) for port in sys.argv[1].split(",")]
    print(json.dumps(uvloop.run(run(doors, int(sys.argv[2]), int(sys.argv[3])))))
