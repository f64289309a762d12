"""Following the log: every event that matches, exactly once, in order, from any position."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

from millrace.contracts.log import CloudEvent

if TYPE_CHECKING:
    from millrace.client import Millrace

PAGE = 500
WAIT_SECONDS = 20.0


class Event(CloudEvent):
    """An event of the log. `payload` is another name of `data`; `event["payload"]` reads like `event.payload`."""

    @property
    def payload(self) -> dict[str, Any]:
        return self.data

    def __getitem__(self, key: str) -> Any:
        try:
            return getattr(self, key)
        except AttributeError:
            raise KeyError(key) from None


class EventPage:
    """Some events as they came over the wire, and where to go on after them."""

    __slots__ = ("caught_up", "events", "position")

    def __init__(self, answer: dict[str, Any]) -> None:
        self.events: list[dict[str, Any]] = answer["events"]
        self.position: str = answer["position"]
        self.caught_up: bool = answer["caught_up"]

    def __iter__(self) -> Iterator[Event]:
        return (Event.model_validate(event) for event in self.events)


class EventStream(AsyncIterator[Event]):
    """The events after a position that match a pattern, as they are and as they come; it never ends by itself.

    Nothing is skipped, repeated or reordered, however long the reader or the service was away.

    Attributes:
        position: token of the last event returned, from which another stream can go on.
    """

    def __init__(self, app: Millrace, pattern: str, after: str, wait: float = WAIT_SECONDS) -> None:
        self._app = app
        self._pattern = pattern
        self._wait = wait
        self._events: Iterator[Event] = iter(())
        self._page_position = after
        self.position = after

    async def __anext__(self) -> Event:
        """The next event; waits for it.

        Raises:
            LogReset: the position belongs to another log.
            LogGone: the events after the position have been archived.
            Unavailable: the service could not be reached in time; the stream can be used further.
        """
        while True:
            for event in self._events:
                self.position = event.position
                return event
            self.position = self._page_position
            page = await self.next_page()
            self._events = iter(page)

    async def pin(self) -> str:
        """Fixes where the stream begins: after this, every event recorded from now on will be returned."""
        if self._page_position == "head":
            self._page_position = self.position = (await self._read(wait=0.0)).position
        return self._page_position

    async def next_page(self) -> EventPage:
        """The next events, at least one unless none came within the wait; for readers that work in batches."""
        # A place that is still called `head` would be looked up anew by a repeat and skip what came in between.
        await self.pin()
        page = await self._read(self._wait)
        self._page_position = page.position
        return page

    async def _read(self, wait: float) -> EventPage:
        body = {"after": self._page_position, "pattern": self._pattern, "limit": PAGE, "wait": wait}
        return EventPage(await self._app.link.query("log.read", body, hold=wait))
