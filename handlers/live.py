"""The live feed's hub: one reader of the log's end for all subscribers of this process, and the samples beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from domain.live import Sample, Samples
from domain.ports import RecordedEvent
from handlers.live_topics import LiveEvent, Topic, Topics
from handlers.persistence import persistently
from millrace.contracts.wire import Accepted, Context, Refused, Token

TURN = 100
TICK_SECONDS = 1.0
READERS_AT_ONCE = 4

Read = Callable[[dict[str, Any], Context], Awaitable[Accepted | Refused]]
Next = Callable[[int], Awaitable[Sequence[LiveEvent]]]


class Feed(Protocol):
    """What the hub needs to know of a subscriber; `handlers.live_feed.LiveFeed` is the one there is."""

    topic: Topic

    def deliver(self, position: int, frame: bytes) -> None:
        """Takes an event's frame, or a sample's with position 0; never waits."""
        ...

    def fall_behind(self) -> None:
        """Nothing more is delivered: the feed goes on from the log."""
        ...

    def tick(self) -> None:
        """Called about once a second."""
        ...


class Hub:
    """Reads each new event once and hands it to whoever is at the end of the log already.

    A subscriber reads the past by itself and joins at the position that it has reached: the hub is not beyond it then,
    so that nothing lies between. Who does not keep up leaves and reads on by itself; the hub waits for nobody.

    Args:
        read: answers the query `log.read`.
        following: the events after a position, once there are any or about a second has passed.
        samples: are listened to while anybody follows anything.
        describe: makes a CloudEvent of a sample.
    """

    def __init__(
        self, read: Read, following: Next, samples: Samples, describe: Callable[[Sample], dict[str, Any]], epoch: str
    ) -> None:
        self._read, self._following, self._epoch = read, following, epoch
        self._samples, self._describe = samples, describe
        self._position = 0
        self._topics = Topics()
        self._open: dict[Feed, None] = {}
        self._joined: dict[Feed, None] = {}
        self._wanted = asyncio.Event()
        self._readers = asyncio.Semaphore(READERS_AT_ONCE)
        self._unlisten: Callable[[], None] | None = None

    @property
    def position(self) -> int:
        """Whatever comes up to here was handed out to those who have joined."""
        return self._position

    def token_of(self, position: int) -> str:
        return Token.text(self._epoch, position)

    async def past(self, body: dict[str, Any], context: Context) -> Accepted | Refused:
        """A page of the log; few are read at a time, so that a storm of reconnects leaves the database to others."""
        async with self._readers:
            return await self._read(body, context)

    def open(self, feed: Feed) -> None:
        """From now on the feed is ticked, and samples are heard."""
        self._open[feed] = None
        if self._unlisten is None:
            self._unlisten = self._samples.listen(self._hear)

    def close(self, feed: Feed) -> None:
        """Forgets the feed, whether it had joined or not."""
        self._open.pop(feed, None)
        self.leave(feed)
        if not self._open and self._unlisten is not None:
            self._unlisten()
            self._unlisten = None

    def join(self, feed: Feed, position: int) -> bool:
        """Delivers to the feed whatever comes after the position; false where the hub is beyond it already."""
        if not self._joined:
            self._position = position
            self._wanted.set()
        if position < self._position:
            return False
        self._joined[feed] = None
        self._topics.add(feed.topic, feed)
        return True

    def leave(self, feed: Feed) -> None:
        """Delivers nothing more to the feed."""
        if feed in self._joined:
            del self._joined[feed]
            self._topics.remove(feed.topic, feed)

    async def run(self) -> None:
        """Runs until cancelled."""
        await asyncio.gather(
            persistently("live", self._follow, pause=0.1), persistently("live-ticks", self._tick, pause=TICK_SECONDS)
        )

    async def _follow(self) -> None:
        while True:
            if not self._joined:
                self._wanted.clear()
                await self._wanted.wait()
            position = self._position
            events = await self._following(position)
            # Meanwhile all may have left and others have joined elsewhere; then these events are not the next ones.
            if not events or position != self._position:
                continue
            if events[0].position != position + 1:
                self._let_go()
                continue
            await self._hand_out_page(events)

    async def _hand_out_page(self, events: Sequence[LiveEvent]) -> None:
        for count, event in enumerate(events, 1):
            if event.position != self._position + 1:
                return
            self._hand_out(event)
            self._position = event.position
            if count % TURN == 0:
                # The writers' turn: who writes as fast as it is written to never falls behind in a burst.
                await asyncio.sleep(0)

    def _hear(self, sample: Sample) -> None:
        """Passes a sample on to those who are at the end of the log."""
        self._hand_out(LiveEvent(sample.tenant, sample.type, sample.subject, 0, lambda: self._describe(sample)))

    def _hand_out(self, event: LiveEvent) -> None:
        for topic, listeners in self._topics.wanted(event):
            frame = topic.format.event(event, topic)
            for listener in listeners:
                listener.deliver(event.position, frame)

    def _let_go(self) -> None:
        """The next events are not there any more: each feed is told so by the log itself."""
        for feed in list(self._joined):
            self.leave(feed)
            feed.fall_behind()

    async def _tick(self) -> None:
        for feed in list(self._open):
            feed.tick()


def live_event(recorded: RecordedEvent, describe: Callable[[RecordedEvent], dict[str, Any]]) -> LiveEvent:
    """A recorded event on its way to subscribers.

    Args:
        describe: makes a CloudEvent of it.
    """
    return LiveEvent(
        recorded.metadata.tenant,
        recorded.event_type,
        recorded.stream.id,
        recorded.position,
        lambda: describe(recorded),
    )
