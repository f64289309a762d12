"""`job.progress`: how far a job has got, kept up over its attempts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pydantic_core import from_json

from millrace.contracts.progress import Progress, ProgressStatus
from millrace.errors import AlreadyExists, MillraceError, OutcomeUnknown, Snooze, Unavailable
from millrace.logs import Log
from millrace.progress_commands import ProgressCommands
from millrace.worker_checkpoints import encoded

if TYPE_CHECKING:
    from millrace.job_context import JobContext

PAUSE_SECONDS = 0.05
CHECKPOINT_SECONDS = 1.0
# For how long an attempt that has failed waits until its last percent is told.
LAST_SECONDS = 5.0
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
        self._state = self._settled = b"null"
        self._saved_at = -CHECKPOINT_SECONDS
        self._saving: asyncio.Task[None] | None = None
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

    def checkpoint(self, state: Any, *, force: bool = False) -> Awaitable[None]:
        """Stores what the next attempt finds as `checkpoint_state`.

        Of those that come within a second the newest is sent, and the last with the end of the block; only a worker
        that is killed loses what it had not sent.

        Args:
            state: JSON of at most 64 KiB.
            force: send it now, and come back when it is stored.

        Raises:
            CheckpointRefused: the state cannot be stored.
        """
        return self._anywhere(self._checkpoint(encoded(state), force))

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

    async def _flush(self, last: bool = False) -> None:
        async with self._telling:
            newest, self._newest = self._newest, None
            if newest is None:
                return
            try:
                await self._tell(self._tracker.update(self.id, *newest, record=last))
            except asyncio.CancelledError:
                self._put_back(newest)
                raise

    def _put_back(self, sample: tuple[float, str | None]) -> None:
        """Whether it has arrived is not known; sent once more with the end of the block it does no harm."""
        if self._newest is None:
            self._newest = sample

    async def _checkpoint(self, state: bytes, force: bool) -> None:
        self._state = state
        if force or self._loop.time() - self._saved_at >= CHECKPOINT_SECONDS:
            await self._save()
        elif self._saving is None or self._saving.done():
            self._saving = asyncio.create_task(self._keep_saving())

    async def _keep_saving(self) -> None:
        while self._state is not self._settled:
            await asyncio.sleep(self._saved_at + CHECKPOINT_SECONDS - self._loop.time())
            try:
                await self._save()
            except MillraceError as error:
                log.warning("a checkpoint was refused", progress=self.id, error=str(error))

    async def _save(self) -> None:
        async with self._telling:
            state = self._state
            if state is self._settled:
                return
            self._saved_at = self._loop.time()
            try:
                await self._tell(self._tracker.checkpoint(self.id, from_json(state)))
            except MillraceError:
                self._settled = state
                raise
            # One whose sending was cancelled is sent again with the end of the block.
            self._settled = state

    async def _end(self, error: BaseException | None) -> None:
        for task in (self._sending, self._saving):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        # One by one: what the service refuses of it keeps nothing else from being told.
        if error is not None:
            await self._finally(self._flush(last=True), LAST_SECONDS)
        if self._job.stopped_by != "lost":
            # The attempt after a lost one may have stored a newer one by now.
            await self._finally(self._save())
        if (end := self._ending(error)) is not None:
            await self._finally(self._tell(end))

    def _ending(self, error: BaseException | None) -> Coroutine[Any, Any, Progress] | None:
        """How the progress ends; None where another attempt goes on: this one was handed back, or lost its validity."""
        if error is None:
            return self._tracker.complete(self.id)
        match self._job.stopped_by:
            case "cancelled":
                return self._tracker.cancel(self.id, self._job.cancel_reason)
            case "timeout":
                return self._tracker.fail(self.id, f"attempt {self._job.attempt} took too long")
            case None if not isinstance(error, Snooze):
                return self._tracker.fail(self.id, error)
            case _:
                return None

    async def _finally(self, work: Awaitable[None], seconds: float | None = None) -> None:
        """Does one of the last things. Whatever becomes of it, what the job raised is what its attempt fails with."""
        try:
            async with asyncio.timeout(seconds):
                await work
        except Exception as failure:
            log.warning(
                "the end of a progress could not be told", progress=self.id, error=str(failure) or repr(failure)
            )

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
