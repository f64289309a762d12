"""`app.progress.subscribe`: one reader of the log for all who follow a progress, however many."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from millrace.contracts.live import Transient
from millrace.contracts.progress import Progress, as_recorded, time_left
from millrace.errors import LogGone, LogReset, MillraceError, NotFound
from millrace.logs import Log

if TYPE_CHECKING:
    from millrace.client import Millrace
    from millrace.live_samples import LiveSamples
    from millrace.live_samples_http import HttpSamples

PATTERN = "progress.#"
SAMPLE = "progress.update"
OPEN = ("pending", "processing")
PAUSE_SECONDS = 1.0
MOST_WAITING = 1_000
Callback = Callable[[Progress], Awaitable[None] | None]
log = Log("millrace.progress")


class Follower:
    """One who follows a progress: what has come for it, and what it was shown last."""

    def __init__(self, app: Millrace, id: str, callback: Callback) -> None:
        self._app, self._id, self._callback = app, id, callback
        # What is too slow for a thousand events is shown the newer ones.
        self._versions: deque[int | None] = deque(maxlen=MOST_WAITING)
        self._some = asyncio.Event()
        self._shown = 0
        self._newest: Progress | None = None
        self._sample: Transient | None = None
        # Samples overtake the events before them, which take nothing back of what was shown.
        self._furthest: Transient | None = None

    def put(self, version: int | None) -> None:
        """An event has come; None where the log is another one, and what is there now is to be shown."""
        self._versions.append(version)
        self._some.set()

    def glimpse(self, sample: Transient) -> None:
        """A sample has come; only the newest is shown."""
        self._sample = sample
        self._some.set()

    async def run(self, begun: Awaitable[str]) -> None:
        """Shows the state once the reader has its place, and then the state at each event."""
        position = await begun
        await self._persistently(lambda: self._app.progress.get(self._id, min_position=position))
        while True:
            await self._some.wait()
            self._some.clear()
            while self._versions:
                version = self._versions.popleft()
                if version is None:
                    self._shown, self._newest, self._furthest = 0, None, None
                    await self._persistently(lambda: self._app.progress.get(self._id))
                elif version > self._shown:
                    await self._persistently(partial(self._at, version))
            sample, self._sample = self._sample, None
            if sample is None or self._newest is None:
                continue
            if (ahead := _ahead(self._newest, sample)) is not None:
                self._furthest = sample
                await self._show(ahead)

    async def _at(self, version: int) -> Progress | None:
        try:
            told = await self._app.state("progress", self._id, at=version)
        except NotFound:
            return None
        state: dict[str, Any] = told["state"]
        if state.pop("removed"):
            return None
        return as_recorded(self._id, version, state)

    async def _persistently(self, look: Callable[[], Awaitable[Progress | None]]) -> None:
        while True:
            try:
                progress = await look()
            except MillraceError as error:
                log.warning("a progress cannot be read", progress=self._id, error=str(error))
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            if progress is not None:
                await self._show(self._kept(progress))
            return

    def _kept(self, progress: Progress) -> Progress:
        """What was recorded, with what was shown already."""
        if self._newest is not None and self._newest.created_at != progress.created_at:
            self._furthest = None
        ahead = None if self._furthest is None else _ahead(progress, self._furthest)
        return progress if ahead is None else ahead

    async def _show(self, progress: Progress) -> None:
        self._shown, self._newest = progress.version, progress
        try:
            result = self._callback(progress)
            if inspect.isawaitable(result):
                await result
        except Exception as error:
            log.exception("a subscriber of progress failed", progress=self._id, error=repr(error))


def _ahead(known: Progress, sample: Transient) -> Progress | None:
    """What is known with what the sample tells; None where that is not further."""
    told = sample.data
    if known.status not in OPEN or told["progress"] <= known.progress:
        return None
    news = {name: told[name] for name in ("status", "progress", "stage", "stage_progress", "rate") if name in told}
    state: dict[str, Any] = known.model_dump() | news
    return Progress.model_validate({**state, "eta": time_left(state)})


class ProgressSubscriptions:
    """Tells the followers of this application. Reads the log only while there are any."""

    def __init__(self, app: Millrace) -> None:
        self._app = app
        self._followers: dict[str, list[Follower]] = {}
        self._reader: asyncio.Task[None] | None = None
        self._begun: asyncio.Future[str] | None = None
        self._live: tuple[asyncio.AbstractEventLoop, LiveSamples | HttpSamples] | None = None
        self._ends: list[Callable[[], None]] = []

    def add(self, id: str, callback: Callback, samples: bool) -> Callable[[], None]:
        """Follows a progress; returns what ends that."""
        begun = self._reading()
        live = self._samples() if samples else None
        follower = Follower(self._app, id, callback)
        self._followers.setdefault(id, []).append(follower)
        task = asyncio.get_running_loop().create_task(follower.run(asyncio.shield(begun)))
        if live is not None:
            live.want(id)

        def unsubscribe() -> None:
            _cancel(task)
            if unsubscribe in self._ends:
                self._ends.remove(unsubscribe)
            followers = self._followers.get(id, [])
            if follower in followers:
                followers.remove(follower)
            if not followers:
                self._followers.pop(id, None)
                if live is not None:
                    live.drop(id)
            if not self._followers and self._reader is not None:
                _cancel(self._reader)
                self._reader = None

        self._ends.append(unsubscribe)
        return unsubscribe

    def end(self) -> None:
        """Ends all of it."""
        for unsubscribe in tuple(self._ends):
            unsubscribe()

    def _samples(self) -> LiveSamples | HttpSamples | None:
        """Where samples come from; None where the transport is one of those that are plugged in."""
        settings, loop = self._app.settings, asyncio.get_running_loop()
        if self._live is not None and self._live[0] is loop:
            return self._live[1]
        if settings.url.startswith(("amqp://", "amqps://")):
            from millrace.live_samples import LiveSamples

            self._live = loop, LiveSamples(settings.url, settings.tenant, SAMPLE, self._heard)
        elif settings.url.startswith(("http://", "https://")):
            from millrace.live_samples_http import HttpSamples

            self._live = loop, HttpSamples(settings, SAMPLE, self._heard)
        else:
            return None
        return self._live[1]

    def _heard(self, sample: Transient) -> None:
        for follower in self._followers.get(sample.subject, ()):
            follower.glimpse(sample)

    def _reading(self) -> asyncio.Future[str]:
        loop = asyncio.get_running_loop()
        if self._reader is None or self._reader.done() or self._reader.get_loop() is not loop or self._begun is None:
            self._begun = loop.create_future()
            self._reader = loop.create_task(self._read(self._begun))
        return self._begun

    async def _read(self, begun: asyncio.Future[str]) -> None:
        stream = self._app.events(PATTERN)
        while True:
            try:
                position = await stream.pin()
                if not begun.done():
                    begun.set_result(position)
                for event in (await stream.next_page()).events:
                    for follower in self._followers.get(event["subject"], ()):
                        follower.put(event["version"])
            except (LogReset, LogGone) as error:
                log.warning("progress is followed anew", error=str(error))
                stream = self._app.events(PATTERN)
                for follower in [each for followers in self._followers.values() for each in followers]:
                    follower.put(None)
            except MillraceError as error:
                log.warning("progress cannot be followed", error=str(error))
                await asyncio.sleep(PAUSE_SECONDS)


def _cancel(task: asyncio.Task[None]) -> None:
    """Ends a task, unless its event loop is gone and the task with it."""
    if not task.get_loop().is_closed():
        task.cancel()
