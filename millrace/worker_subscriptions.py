"""Delivers a durable subscription's events to its function, one after another."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import structlog

from millrace.binding import Binding
from millrace.cause import CAUSE, Cause
from millrace.errors import MillraceError, NonRetryable
from millrace.events import Event, EventPage, EventStream
from millrace.registry import SubscriptionDefinition
from millrace.repeating import backoff
from millrace.worker_outcomes import clean
from millrace.worker_threads import Threads

if TYPE_CHECKING:
    from millrace.client import Millrace

log = structlog.get_logger("millrace.worker")

LOOK_AGAIN_SECONDS = 5.0
# A paused subscription delivers for so long at most.
WAIT_SECONDS = 5.0
FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 60.0
MAX_ERROR_CHARS = 8_192
ACKNOWLEDGEMENT = "subscription.advanced"


class Delivery:
    """Follows one subscription from its acknowledged position on, until it is canceled or `stop` is called."""

    def __init__(self, app: Millrace, definition: SubscriptionDefinition, threads: Threads) -> None:
        self._app = app
        self._definition = definition
        self._threads = threads
        self._is_async = Binding(definition.function).is_async
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Ends after the event that is being handled."""
        self._stopping.set()

    async def run(self) -> None:
        """Delivers; goes on by itself after any error of the service."""
        failures = 0
        while not self._stopping.is_set():
            try:
                await self._declare()
                failures = 0
                await self._follow()
            except MillraceError as error:
                failures += 1
                log.warning("a subscription waits", subscription=self._definition.name, error=str(error))
                await self._pause(backoff(failures))

    async def _declare(self) -> None:
        definition = self._definition
        await self._app.subscriptions.create(
            definition.name,
            definition.pattern,
            start=definition.start,
            priority=definition.priority,
            max_attempts=definition.max_attempts,
        )

    async def _follow(self) -> None:
        stream: EventStream | None = None
        look_at = 0.0
        while not self._stopping.is_set():
            if time.monotonic() >= look_at:
                subscription = await self._app.subscriptions.get(self._definition.name)
                look_at = time.monotonic() + LOOK_AGAIN_SECONDS
                if subscription is None or not subscription.is_active:
                    stream = None
                    await self._pause(LOOK_AGAIN_SECONDS)
                    continue
                if stream is None:
                    stream = EventStream(self._app, self._definition.pattern, subscription.position, WAIT_SECONDS)
            if stream is not None and (page := await self._unless_stopped(stream.next_page())) is not None:
                await self._deliver(page)

    async def _unless_stopped(self, waiting: Coroutine[Any, Any, EventPage]) -> EventPage | None:
        reading, stopped = asyncio.create_task(waiting), asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({reading, stopped}, return_when=asyncio.FIRST_COMPLETED)
            return reading.result() if reading.done() else None
        finally:
            reading.cancel()
            stopped.cancel()

    async def _deliver(self, page: EventPage) -> None:
        position: str | None = None
        for event in page:
            await self._handle(event)
            # An acknowledgement is an event itself: acknowledging those would never end.
            if event.eventtype != ACKNOWLEDGEMENT:
                position = event.position
            if self._stopping.is_set():
                break
        if position is not None:
            await self._app.subscriptions.acknowledge(self._definition.name, position)

    async def _handle(self, event: Event) -> None:
        token = CAUSE.set(Cause(event.correlationid, event.id, event.traceparent))
        attempt = 0
        try:
            while True:
                attempt += 1
                try:
                    await self._call(event)
                    return
                except Exception as error:
                    if isinstance(error, NonRetryable) or attempt >= self._definition.max_attempts:
                        await self._park(event, error, attempt)
                        return
                    log.warning(
                        "a subscription's event failed; trying again",
                        subscription=self._definition.name,
                        event_id=event.id,
                        attempt=attempt,
                        error=repr(error),
                    )
                await asyncio.sleep(min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** (attempt - 1)))
        finally:
            CAUSE.reset(token)

    async def _call(self, event: Event) -> None:
        if self._is_async:
            await self._definition.function(event)
            return
        name = next(iter(inspect.signature(self._definition.function).parameters))
        await self._threads.run(self._definition.function, {name: event})

    async def _park(self, event: Event, error: Exception, attempts: int) -> None:
        log.error(
            "a subscription's event is set aside",
            subscription=self._definition.name,
            event_id=event.id,
            attempts=attempts,
            error=repr(error),
        )
        text = clean(f"{type(error).__name__}: {error}")[:MAX_ERROR_CHARS]
        await self._app.subscriptions.park(
            self._definition.name, position=event.position, event_id=event.id, error=text, attempts=attempts
        )

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return
