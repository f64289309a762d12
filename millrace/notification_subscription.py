"""Following one user's inbox: what was missed, in order, and what comes."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any, Self

from millrace.contracts.notification import Notification
from millrace.errors import Unavailable
from millrace.events import Event
from millrace.logs import Log
from millrace.repeating import backoff

if TYPE_CHECKING:
    from millrace.client import Millrace

Callback = Callable[[Notification], Awaitable[None] | None]
PATTERN = "notification.*"
CREATED, WOKEN = "notification.created", "notification.woken"
log = Log("millrace.notifications")


class InboxSubscription:
    """A reader of the log that tells of one user's notifications.

    Attributes:
        position: token of the last event that was handled; `after=position` goes on behind it.
    """

    def __init__(self, app: Millrace, user_id: str, callback: Callback, after: str) -> None:
        self._app, self._user_id, self._callback = app, user_id, callback
        self._stream = app.events(PATTERN, after)
        self.position = after
        self._pinned = asyncio.Event()
        self._task = asyncio.create_task(self._follow(), name=f"notifications of {user_id}")

    def __call__(self) -> None:
        """Ends it, also in the middle of a callback that is a coroutine."""
        self._task.cancel()

    def __await__(self) -> Generator[Any, None, Self]:
        return self.begun().__await__()

    async def begun(self) -> Self:
        """Waits until the place in the log is fixed: whatever is sent from now on will be told."""
        pinned = asyncio.create_task(self._pinned.wait())
        await asyncio.wait({pinned, self._task}, return_when=asyncio.FIRST_COMPLETED)
        pinned.cancel()
        if self._task.done() and not self._task.cancelled():
            self._task.result()
        return self

    async def ended(self) -> None:
        """Waits until it ends.

        Raises:
            LogReset: the position belongs to another log.
            LogGone: the events after the position have been archived.
        """
        await asyncio.wait({self._task})
        if not self._task.cancelled():
            self._task.result()

    async def _follow(self) -> None:
        failures = 0
        while True:
            try:
                if not self._pinned.is_set():
                    self.position = await self._stream.pin()
                    self._pinned.set()
                event = await anext(self._stream)
                failures = 0
            except Unavailable as error:
                failures += 1
                log.warning("an inbox waits for the service", user_id=self._user_id, error=str(error))
                await asyncio.sleep(backoff(failures))
                continue
            if event.data.get("user_id") == self._user_id and event.eventtype in (CREATED, WOKEN):
                await self._tell(event)
            self.position = event.position

    async def _tell(self, event: Event) -> None:
        notification = await self._shown(event)
        if notification is None:
            return
        try:
            result = self._callback(notification)
            if inspect.isawaitable(result):
                await result
        except Exception as error:
            log.exception("a callback failed", user_id=self._user_id, notification=event.subject, error=repr(error))

    async def _shown(self, event: Event) -> Notification | None:
        if event.eventtype == CREATED:
            shown = event.data["in_inbox"]
            return (
                Notification.model_validate({**event.data, "id": event.subject, "timestamp": event.time})
                if shown
                else None
            )
        state = (await self._app.state("notification", event.subject, at=event.version))["state"]
        return Notification.model_validate({**state, "id": event.subject})
