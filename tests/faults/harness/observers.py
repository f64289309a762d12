"""The consumers of a run: each follows events as an application would, and notes what it saw."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import aio_pika
import httpx
import psutil
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import AMQPError

from millrace import Millrace
from millrace.errors import MillraceError
from tests.faults.harness.checkers import TERMINAL
from tests.faults.harness.forger import Forger
from tests.faults.harness.history import History
from tests.faults.harness.processes import Server
from tests.faults.harness.traces import Seen, Trace

AGAIN_SECONDS = 0.2
PROBE_SECONDS = 0.25
PROBE_TIMEOUT = 30.0
WEIGH_SECONDS = 0.5
RELAY_QUEUE = "faults.relay"
EVENTS = "millrace.events"
CONNECTION_ERRORS = (OSError, AMQPError, TimeoutError, RuntimeError, asyncio.CancelledError)


class Follower:
    """`app.events("#")` of one tenant, from the beginning on."""

    def __init__(self, client: Millrace, tenant: str, name: str, forger: Forger | None = None) -> None:
        self.trace = Trace(name, tenant, exact=True)
        self._client, self._forger = client, forger
        self._events = client.events("#", after="beginning")
        self.ended: set[str] = set()

    async def run(self) -> None:
        while True:
            try:
                event = await anext(self._events)
            except MillraceError:
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            self.trace.seen.append(Seen.of(event.model_dump(include=FIELDS)))
            if self._forger is not None:
                self._forger.saw(self._client, event.eventtype, event.subject, event.data.get("attempt", 0))
            if event.eventtype in TERMINAL or event.eventtype == "job.removed":
                self.ended.add(event.subject)
            elif event.eventtype == "job.revived":
                self.ended.discard(event.subject)


FIELDS = {"id", "position", "tenant", "source", "subject", "version", "eventtype"}


class QueueReader:
    """Consumes one queue, acknowledges each message once it is noted, and comes back whatever happens to the broker.

    Args:
        bind: declares the queue and binds it to all events; a queue that the product owns is not ours to declare.
    """

    def __init__(self, url: str, queue: str, trace: Trace, *, bind: bool) -> None:
        self.trace = trace
        self._url, self._queue, self._bind = url, queue, bind

    async def run(self) -> None:
        while True:
            with suppress(*CONNECTION_ERRORS):
                await self._consume()
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                return
            await asyncio.sleep(AGAIN_SECONDS)

    async def prepare(self) -> None:
        """Declares and binds the queue, so that it misses nothing from now on."""
        connection = await aio_pika.connect(self._url, timeout=5)
        async with connection:
            await self._declare(await connection.channel())

    async def _declare(self, channel: aio_pika.abc.AbstractChannel) -> aio_pika.abc.AbstractQueue:
        if not self._bind:
            return await channel.get_queue(self._queue, ensure=True)
        exchange = await channel.declare_exchange(EVENTS, aio_pika.ExchangeType.TOPIC, durable=True)
        # As long as the broker takes a dead connection for alive it holds messages back for it, for a moment even after
        # it was killed itself; with a single active consumer it takes them back before it gives the next one anything.
        single = {"x-queue-type": "quorum", "x-single-active-consumer": True}
        queue = await channel.declare_queue(self._queue, durable=True, arguments=single)
        await queue.bind(exchange, "#")
        return queue

    async def _consume(self) -> None:
        connection = await aio_pika.connect(self._url, timeout=5, heartbeat=5)
        lost = asyncio.Event()
        connection.close_callbacks.add(lambda *_: lost.set())
        try:
            channel = await connection.channel()
            channel.close_callbacks.add(lambda *_: lost.set())
            await channel.set_qos(prefetch_count=500)
            queue = await self._declare(channel)
            await queue.consume(self._note)
            await lost.wait()
        finally:
            with suppress(*CONNECTION_ERRORS):
                async with asyncio.timeout(2):
                    await connection.close()

    async def _note(self, message: AbstractIncomingMessage) -> None:
        self.trace.seen.append(Seen.of(json.loads(message.body)))
        with suppress(*CONNECTION_ERRORS):
            await message.ack()


def delivered(file: Path, trace: Trace) -> Trace:
    """The trace of a durable subscription whose worker notes each event in a file, a line each."""
    if file.exists():
        # The last line of a worker that was killed may be cut off.
        lines = [line for line in file.read_bytes().split(b"\n") if line.endswith(b"}")]
        trace.seen = [Seen.of(json.loads(line)) for line in lines]
    return trace


class Prober:
    """Asks one service a small question again and again, and notes how long each answer took."""

    def __init__(self, url: str, name: str, history: History, running: Callable[[], bool]) -> None:
        self._url, self._name, self._history, self._running = url, name, history, running

    async def run(self) -> None:
        async with httpx.AsyncClient(base_url=self._url, timeout=PROBE_TIMEOUT, trust_env=False) as client:
            while True:
                if self._running():
                    await self._ask(client)
                await asyncio.sleep(PROBE_SECONDS)

    async def _ask(self, client: httpx.AsyncClient) -> None:
        at, began = time.time(), time.monotonic()
        status: int | None = None
        with suppress(httpx.HTTPError):
            status = (await client.post("/api/queries/job.get", json={"job_id": "none"})).status_code
        self._history.probed(
            {"server": self._name, "at": at, "took": round(time.monotonic() - began, 3), "status": status}
        )


class Scales:
    """Weighs processes again and again, each from its start on."""

    def __init__(self, servers: Sequence[Server], history: History) -> None:
        self._servers, self._history = servers, history

    async def run(self) -> None:
        while True:
            for server in self._servers:
                if server.running:
                    with suppress(psutil.NoSuchProcess):
                        resident = psutil.Process(server.pid).memory_info().rss
                        self._history.weighed(
                            {"server": f"{server.name} ({server.pid})", "at": time.time(), "resident": resident}
                        )
            await asyncio.sleep(WEIGH_SECONDS)
