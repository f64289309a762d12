"""`job.progress`: how far a job has got, kept up over its attempts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from millrace.contracts.progress import Progress, ProgressStatus
from millrace.errors import AlreadyExists, MillraceError, OutcomeUnknown, Snooze, Unavailable
from millrace.logs import Log
from millrace.progress_commands import ProgressCommands

if TYPE_CHECKING:
    from millrace.job_context import JobContext

PAUSE_SECONDS = 0.05
log = Log("millrace.job")


class Done:
    """An awaitable that is over."""

    def __await__(self) -> Generator[None]:
        yield from ()


class JobProgress:
    """The progress of one job. Entered, it begins or goes on; left, it is completed, or has failed by what was raised.

    A coroutine enters it with `async with` and awaits its methods; a plain function uses `with`, and they are done when
    they return. The service being away does not disturb the job: what could not be told is logged.

    Attributes:
        id: of the progress: the job's own, with the name behind it if it has one.
    """

    def __init__(
        self, job: JobContext, tracker: ProgressCommands, loop: asyncio.AbstractEventLoop, options: dict[str, Any]
    ) -> None:
        self.id: str = options["id"]
        self._job, self._tracker, self._loop, self._options = job, tracker, loop, options
        self._progress: Progress | None = None
        self._newest: tuple[float, str | None] | None = None
        self._sending: asyncio.Task[None] | None = None
        self._telling = asyncio.Lock()
        self._stage: str | None = None

    @property
    def progress(self) -> float:
        """The overall percent that is recorded, as far as this attempt was told."""
        return 0.0 if self._progress is None else self._progress.progress

    @property
    def stage(self) -> str | None:
        """The stage that the job is in."""
        return self._stage

    @property
    def checkpoint_state(self) -> Any:
        """What an earlier attempt stored with `checkpoint`, or None."""
        return None if self._progress is None else self._progress.checkpoint

    def update(self, progress: float, stage: str | None = None) -> Awaitable[None]:
        """Tells the percent of a stage, of the current one by default. Naming another one completes those before it.

        Comes back at once unless the stage changes: the newest of many is sent.

        Raises:
            ValueError: no percent, or a stage that the progress does not have.
        """
        return self._anywhere(self._update(progress, stage))

    def advance(self, stage: str | None = None) -> Awaitable[None]:
        """Completes the current stage and begins the next, or a named later one; the last is only completed.

        Raises:
            Refused: it has no stages, or the stage lies behind.
        """
        return self._anywhere(self._advance(stage))

    def checkpoint(self, state: Any) -> Awaitable[None]:
        """Stores what the next attempt finds as `checkpoint_state`, at most 64 KiB of JSON."""
        return self._anywhere(self._tell(self._tracker.checkpoint(self.id, state)))

    async def __aenter__(self) -> Self:
        await self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._end(error)

    def __enter__(self) -> Self:
        self._from_thread(self._begin())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._from_thread(self._end(error))

    async def _begin(self) -> None:
        try:
            await self._tell(self._tracker.create(**self._options))
        except AlreadyExists:
            # An attempt of an older release had other stages.
            await self._tracker.remove(self.id, "its job has other stages now")
            await self._tell(self._tracker.create(**self._options))
        if self._progress is None:
            return
        if self._progress.status in (ProgressStatus.FAILED, ProgressStatus.CANCELLED):
            await self._tell(self._tracker.resume(self.id))
        elif self._progress.status is ProgressStatus.PROCESSING:
            # An attempt that was killed or waited has left it so.
            await self._tell(self._tracker.resume(self.id, new_attempt=True))
        self._stage = self._progress.stage

    async def _update(self, percent: float, stage: str | None) -> None:
        if not 0 <= percent <= 100:
            raise ValueError(f"progress is 0 to 100 percent, not {percent!r}")
        known = [each["name"] if isinstance(each, dict) else each for each in self._options["stages"]]
        if stage is not None and stage not in known:
            raise ValueError(f"there is no stage {stage!r}; the progress has {', '.join(known) or 'none'}")
        self._newest = percent, stage or self._stage
        if stage is not None and stage != self._stage:
            self._stage = stage
            await self._flush()
        elif self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._keep_sending())

    async def _advance(self, stage: str | None) -> None:
        await self._flush()
        await self._tell(self._tracker.advance(self.id, stage))
        if self._progress is not None:
            self._stage = self._progress.stage

    async def _keep_sending(self) -> None:
        while self._newest is not None:
            try:
                await self._flush()
            except MillraceError as error:
                log.warning("progress was refused", progress=self.id, error=str(error))
            await asyncio.sleep(PAUSE_SECONDS)

    async def _flush(self) -> None:
        async with self._telling:
            newest, self._newest = self._newest, None
            if newest is not None:
                await self._tell(self._tracker.update(self.id, *newest))

    async def _end(self, error: BaseException | None) -> None:
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        stopped = self._job.stopped_by
        try:
            await self._flush()
            if error is None:
                await self._tell(self._tracker.complete(self.id))
            elif stopped == "cancelled":
                await self._tell(self._tracker.cancel(self.id, self._job.cancel_reason))
            elif stopped == "timeout":
                await self._tell(self._tracker.fail(self.id, f"attempt {self._job.attempt} took too long"))
            elif stopped is None and not isinstance(error, Snooze):
                await self._tell(self._tracker.fail(self.id, error))
            # Otherwise another attempt goes on: this one was handed back, or lost its validity.
        except MillraceError as refused:
            log.warning("the end of a progress was refused", progress=self.id, error=str(refused))

    async def _tell(self, command: Coroutine[Any, Any, Progress]) -> None:
        try:
            self._progress = await command
        except (Unavailable, OutcomeUnknown) as error:
            log.warning("progress could not be told", progress=self.id, error=str(error))

    def _anywhere(self, work: Coroutine[Any, Any, None]) -> Awaitable[None]:
        """In a thread without an event loop the work is done when this returns, else when it was awaited."""
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            self._from_thread(work)
            return Done()
        return work if here is self._loop else asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    def _from_thread(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()
