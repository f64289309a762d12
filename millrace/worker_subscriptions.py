"""Delivers a durable subscription's events to its function, one after another."""

from __future__ import annotations

import asyncio
import inspect
import random
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from millrace.binding import Binding
from millrace.cause import CAUSE, Cause
from millrace.errors import MillraceError, NonRetryable, NotFound
from millrace.events import Event, EventPage, EventStream
from millrace.logs import Log
from millrace.registry import SubscriptionDefinition
from millrace.repeating import backoff
from millrace.worker_outcomes import clean
from millrace.worker_progress import Progress
from millrace.worker_subscription_lease import SubscriptionLease
from millrace.worker_threads import Threads

if TYPE_CHECKING:
    from millrace.client import Millrace

log = Log("millrace.worker")

LOOK_AGAIN_SECONDS = 5.0
# A paused subscription delivers for so long at most.
WAIT_SECONDS = 5.0
TAKE_OVER_SECONDS = 2.0
ACKNOWLEDGE_SECONDS = 1.0
FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 60.0
MAX_ERROR_CHARS = 8_192
ACKNOWLEDGEMENT = "subscription.advanced"


class Delivery:
    """Follows one subscription from its acknowledged position on, while this worker holds its lease.

    At least once: an event may be delivered again by the worker that takes over from one that died.
    """

    def __init__(
        self, app: Millrace, definition: SubscriptionDefinition, threads: Threads, lease: SubscriptionLease
    ) -> None:
        self._app = app
        self._definition = definition
        self._threads = threads
        self._lease = lease
        self._is_async = Binding(definition.function).is_async
        self._in_thread: asyncio.Future[Any] | None = None
        self._progress = Progress()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Ends after the event that is being handled."""
        self._stopping.set()

    async def run(self) -> None:
        """Delivers until `stop` is called; goes on by itself after any error of the service."""
        failures = 0
        while not self._stopping.is_set():
            try:
                if await self._take():
                    failures = 0
                    await self._lease.keep(self._follow())
                else:
                    failures = 0
                    await self._pause(TAKE_OVER_SECONDS * random.uniform(0.5, 1.0))
            except MillraceError as error:
                failures += 1
                log.warning("a subscription waits", subscription=self._definition.name, error=str(error))
                await self._pause(backoff(failures))
        if self._lease.held:
            await self._lease.release()

    async def _take(self) -> bool:
        if self._in_thread is not None:
            # A plain function cannot be stopped when the lease is lost; it ends before another event is begun.
            await asyncio.wait({self._in_thread})
            self._in_thread = None
        try:
            return await self._lease.take()
        except NotFound:
            await self._declare()
            return await self._lease.take()

    async def _declare(self) -> dict[str, Any]:
        """Creates the subscription, and returns its place as the aggregate knows it: a read model may lag behind."""
        definition = self._definition
        body = {
            "name": definition.name, "pattern": definition.pattern, "start": definition.start,
            "priority": definition.priority, "max_attempts": definition.max_attempts,
        }  # fmt: skip
        return (await self._app.link.execute("subscription.create", body)).result

    async def _follow(self) -> None:
        place = await self._declare()
        if not place["is_active"]:
            await self._while_paused()
            return
        start = self._progress.resume(place["position"])
        telling = asyncio.create_task(self._acknowledge_regularly())
        try:
            await self._read(EventStream(self._app, self._definition.pattern, start, WAIT_SECONDS))
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
        if self._progress.pending():
            await self._acknowledge()

    async def _read(self, stream: EventStream) -> None:
        look_at = time.monotonic() + LOOK_AGAIN_SECONDS
        while not self._stopping.is_set():
            page = await self._unless_stopped(stream.next_page())
            if page is not None and not await self._deliver(page):
                return
            if time.monotonic() >= look_at:
                if await self._is_paused():
                    return
                look_at = time.monotonic() + LOOK_AGAIN_SECONDS

    async def _is_paused(self) -> bool:
        subscription = await self._app.subscriptions.get(self._definition.name)
        return subscription is not None and not subscription.is_active

    async def _while_paused(self) -> None:
        await self._pause(LOOK_AGAIN_SECONDS)
        while not self._stopping.is_set() and await self._is_paused():
            await self._pause(LOOK_AGAIN_SECONDS)

    async def _unless_stopped(self, waiting: Coroutine[Any, Any, EventPage]) -> EventPage | None:
        reading, stopped = asyncio.create_task(waiting), asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({reading, stopped}, return_when=asyncio.FIRST_COMPLETED)
            return reading.result() if reading.done() else None
        finally:
            reading.cancel()
            stopped.cancel()

    async def _deliver(self, page: EventPage) -> bool:
        """False where it had to leave the page before its end."""
        for event in page:
            if self._stopping.is_set() or not self._lease.held:
                return False
            if not await self._handle(event):
                return False
            # An acknowledgement is an event itself: acknowledging those would never end.
            self._progress.move(event.position, handled=event.eventtype != ACKNOWLEDGEMENT)
        self._progress.move(page.position, handled=False)
        return True

    async def _acknowledge_regularly(self) -> None:
        while True:
            await self._progress.news()
            try:
                await self._acknowledge()
            except MillraceError as error:
                log.warning("not acknowledged yet", subscription=self._definition.name, error=str(error))
            await asyncio.sleep(ACKNOWLEDGE_SECONDS)

    async def _acknowledge(self) -> None:
        position = self._progress.tell()
        try:
            await self._app.subscriptions.acknowledge(self._definition.name, position)
        except BaseException:
            self._progress.untold()
            raise
        self._progress.told(position)

    async def _handle(self, event: Event) -> bool:
        """False where the worker stops before the event was handled or set aside."""
        token = CAUSE.set(Cause(event.correlationid, event.id, event.traceparent))
        attempt = 0
        try:
            while True:
                attempt += 1
                try:
                    await self._call(event)
                    return True
                except Exception as error:
                    if isinstance(error, NonRetryable) or attempt >= self._definition.max_attempts:
                        await self._park(event, error, attempt)
                        return True
                    log.warning(
                        "a subscription's event failed; trying again",
                        subscription=self._definition.name,
                        event_id=event.id,
                        attempt=attempt,
                        error=repr(error),
                    )
                await self._pause(min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** (attempt - 1)))
                if self._stopping.is_set():
                    return False
        finally:
            CAUSE.reset(token)

    async def _call(self, event: Event) -> None:
        if self._is_async:
            await self._definition.function(event)
            return
        name = next(iter(inspect.signature(self._definition.function).parameters))
        self._in_thread = self._threads.run(self._definition.function, {name: event})
        await asyncio.shield(self._in_thread)

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
