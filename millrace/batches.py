"""`app.jobs.batch`: jobs that belong together, and what is to follow when all of them have ended."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from millrace.contracts.batch import Batch, BatchProgress, Callback
from millrace.contracts.job import Job

if TYPE_CHECKING:
    from millrace.client import Millrace

LOOK_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0


class JobBatch:
    """One batch. As `async with`, it is made at the beginning and sealed at the end, or cancelled by an exception.

    Attributes:
        id: known once it is made.
    """

    def __init__(self, app: Millrace, body: Mapping[str, Any], id: str | None = None) -> None:
        self._app, self._body, self._id = app, dict(body), id

    @property
    def id(self) -> str:
        if self._id is None:
            raise RuntimeError("the batch is not there yet; enter it with `async with`, or `await batch.create()`")
        return self._id

    async def create(self) -> Self:
        """Makes the batch."""
        if self._id is None:
            self._id = (await self._app.link.execute("batch.create", self._body)).result["batch_id"]
        return self

    async def enqueue(self, name: str, data: Mapping[str, Any] | None = None, **options: Any) -> Job:
        """Adds one job; takes what `app.jobs.enqueue` takes.

        Raises:
            BatchSealed: the batch takes no more jobs.
        """
        return await self._app.jobs.enqueue(name, data, batch=self.id, **options)

    async def enqueue_many(self, items: Iterable[Mapping[str, Any]]) -> list[Job]:
        """Adds many jobs; see `app.jobs.enqueue_many`."""
        return await self._app.jobs.enqueue_many({**item, "batch": self.id} for item in items)

    async def enqueue_graph(self, items: Iterable[Mapping[str, Any]]) -> list[Job]:
        """Adds jobs that come after each other; see `app.jobs.enqueue_graph`."""
        return await self._app.jobs.enqueue_graph({**item, "batch": self.id} for item in items)

    async def seal(self) -> None:
        """The batch takes no more jobs, and completes when all that it has have ended."""
        await self._app.link.execute("batch.seal", {"batch_id": self.id})

    async def cancel(self, reason: str | None = None) -> None:
        """Seals the batch and cancels its unfinished jobs.

        Raises:
            Refused: all of its jobs have ended.
        """
        body = {"batch_id": self.id} if reason is None else {"batch_id": self.id, "reason": reason}
        await self._app.link.execute("batch.cancel", body)

    async def get(self) -> Batch:
        """How far the batch has got."""
        return Batch.model_validate((await self._app.link.query("batch.get", {"batch_id": self.id}))["batch"])

    async def wait(self, timeout: float | None = None) -> Batch:
        """Waits until all jobs of the sealed batch have ended.

        Args:
            timeout: seconds; None waits for ever.

        Raises:
            TimeoutError: it did not complete in time; it goes on.
        """
        pause = LOOK_SECONDS
        async with asyncio.timeout(timeout):
            while not (batch := await self.get()).is_complete:
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)
        return batch

    async def __aenter__(self) -> Self:
        return await self.create()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await (self.seal() if error is None else self.cancel(f"{type(error).__name__} while jobs were added"))


class Batches:
    """The part of `JobQueue` that is about batches."""

    _app: Millrace

    def batch(
        self,
        name: str = "batch",
        *,
        on_complete: Callback | Mapping[str, Any] | str | None = None,
        on_success: Callback | Mapping[str, Any] | str | None = None,
        progress: BatchProgress | Mapping[str, Any] | bool | None = None,
        id: str | None = None,
    ) -> JobBatch:
        """A batch: a new one to be entered with `async with`, or with `id` one that is there.

        Args:
            on_complete: the job that is enqueued when all jobs have ended, however they did: its name, or `name`,
                `data`, `queue` and `priority`. Its data has the counts besides, as `batch`.
            on_success: the same for when all have completed, be it after a dead letter was retried.
            progress: true makes a progress under the batch's id, the share of the jobs that are completed; an object
                says more of it: `expected`, `metadata`, `user_id`, `type`, `parent_id`, `weight`, `stall_after`.
        """
        wishes = {"name": name, "on_complete": on_complete, "on_success": on_success, "progress": progress}
        return JobBatch(self._app, {key: value for key, value in wishes.items() if value is not None}, id)

    async def batches(
        self, *, name: str | None = None, is_complete: bool | None = None, limit: int = 50
    ) -> builtins.list[Batch]:
        """The newest batches."""
        filters = {"name": name, "is_complete": is_complete, "limit": limit}
        body = {key: value for key, value in filters.items() if value is not None}
        answer = await self._app.link.query("batch.list", body)
        return [Batch.model_validate(batch) for batch in answer["batches"]]
