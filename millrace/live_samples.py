"""Samples over RabbitMQ's live exchange: what was not worth an event, for whoever looks right now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import AMQPError
from pydantic import ValidationError
from pydantic_core import from_json

from millrace.contracts.live import EXCHANGE, Transient, live_key
from millrace.logs import Log

HEARTBEAT_SECONDS = 5
CONNECT_SECONDS = 10.0
PAUSE_SECONDS = 1.0
MOST_UNREAD = 1_000
log = Log("millrace.live")


class LiveSamples:
    """Hears the samples of chosen subjects while anybody wants them; connects anew for as long.

    Args:
        hear: called with each sample.
    """

    def __init__(self, url: str, tenant: str, event_type: str, hear: Callable[[Transient], None]) -> None:
        self._url, self._tenant, self._type, self._hear = url, tenant, event_type, hear
        self._subjects: set[str] = set()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def want(self, subject: str) -> None:
        self._subjects.add(subject)
        self._changed.set()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._listen())

    def drop(self, subject: str) -> None:
        """Gives the connection up with the last one."""
        self._subjects.discard(subject)
        self._changed.set()
        if not self._subjects and self._task is not None:
            # A task whose event loop is gone has gone with it.
            if not self._task.get_loop().is_closed():
                self._task.cancel()
            self._task = None

    async def _listen(self) -> None:
        while True:
            try:
                await self._session()
            except (AMQPError, OSError, TimeoutError, RuntimeError) as error:
                log.info("samples do not arrive", action="samples_away", error=repr(error))
            await asyncio.sleep(PAUSE_SECONDS)

    async def _session(self) -> None:
        lost = asyncio.Event()
        async with asyncio.timeout(CONNECT_SECONDS):
            connection = await aio_pika.connect(self._url, heartbeat=HEARTBEAT_SECONDS, timeout=CONNECT_SECONDS)
        async with connection:
            connection.close_callbacks.add(lambda *_: lost.set())
            channel = await connection.channel(publisher_confirms=False)
            bounds: dict[str, Any] = {"x-max-length": MOST_UNREAD, "x-overflow": "drop-head"}
            queue = await channel.declare_queue(exclusive=True, auto_delete=True, arguments=bounds)
            await queue.consume(self._arrived, no_ack=True)
            await self._follow(queue, lost)

    async def _follow(self, queue: AbstractQueue, lost: asyncio.Event) -> None:
        """Binds what is wanted until the connection is lost."""
        bound: set[str] = set()
        losing = asyncio.ensure_future(lost.wait())
        try:
            while not lost.is_set():
                self._changed.clear()
                for subject in self._subjects - bound:
                    await queue.bind(EXCHANGE, live_key(self._tenant, self._type, subject))
                for subject in bound - self._subjects:
                    await queue.unbind(EXCHANGE, live_key(self._tenant, self._type, subject))
                bound = set(self._subjects)
                changing = asyncio.ensure_future(self._changed.wait())
                await asyncio.wait({losing, changing}, return_when=asyncio.FIRST_COMPLETED)
                changing.cancel()
        finally:
            losing.cancel()

    async def _arrived(self, message: AbstractIncomingMessage) -> None:
        try:
            sample = Transient.model_validate(from_json(message.body))
        except (ValueError, ValidationError) as error:
            log.info("unreadable sample", action="sample_unreadable", error=type(error).__name__)
            return
        self._hear(sample)
