"""`app.progress.subscribe`: one reader of the log for all who follow a progress, however many."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from millrace.contracts.progress import Progress
from millrace.errors import LogGone, LogReset, MillraceError, NotFound

if TYPE_CHECKING:
    from millrace.client import Millrace

PATTERN = "progress.#"
PAUSE_SECONDS = 1.0
MOST_WAITING = 1_000
Callback = Callable[[Progress], Awaitable[None] | None]
log = structlog.get_logger("millrace.progress")


class Follower:
    """One who follows a progress: what has come for it, and what it was shown last."""

    def __init__(self, app: Millrace, id: str, callback: Callback) -> None:
        self._app, self._id, self._callback = app, id, callback
        # What is too slow for a thousand events is shown the newer ones.
        self._versions: deque[int | None] = deque(maxlen=MOST_WAITING)
        self._some = asyncio.Event()
        self._shown = 0

    def put(self, version: int | None) -> None:
        """An event has come; None where the log is another one, and what is there now is to be shown."""
        self._versions.append(version)
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
                    self._shown = 0
                    await self._persistently(lambda: self._app.progress.get(self._id))
                elif version > self._shown:
                    await self._persistently(partial(self._at, version))

    async def _at(self, version: int) -> Progress | None:
        try:
            told = await self._app.state("progress", self._id, at=version)
        except NotFound:
            return None
        state: dict[str, Any] = told["state"]
        if state.pop("removed"):
            return None
        return Progress.model_validate({**state, "id": self._id, "version": version})

    async def _persistently(self, look: Callable[[], Awaitable[Progress | None]]) -> None:
        while True:
            try:
                progress = await look()
            except MillraceError as error:
                log.warning("a progress cannot be read", progress=self._id, error=str(error))
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            if progress is not None:
                await self._show(progress)
            return

    async def _show(self, progress: Progress) -> None:
        self._shown = progress.version
        try:
            result = self._callback(progress)
            if inspect.isawaitable(result):
                await result
        except Exception as error:
            log.exception("a subscriber of progress failed", progress=self._id, error=repr(error))


class ProgressSubscriptions:
    """Tells the followers of this application. Reads the log only while there are any."""

    def __init__(self, app: Millrace) -> None:
        self._app = app
        self._followers: dict[str, list[Follower]] = {}
        self._reader: asyncio.Task[None] | None = None
        self._begun: asyncio.Future[str] | None = None

    def add(self, id: str, callback: Callback) -> Callable[[], None]:
        """Follows a progress; returns what ends that."""
        begun = self._reading()
        follower = Follower(self._app, id, callback)
        self._followers.setdefault(id, []).append(follower)
        task = asyncio.get_running_loop().create_task(follower.run(asyncio.shield(begun)))

        def unsubscribe() -> None:
            task.cancel()
            followers = self._followers.get(id, [])
            if follower in followers:
                followers.remove(follower)
            if not followers:
                self._followers.pop(id, None)
            if not self._followers and self._reader is not None:
                self._reader.cancel()
                self._reader = None

        return unsubscribe

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
