"""Waiting for jobs to end: one reader of the log for all that wait, however many."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from millrace.contracts.job import Job, JobStatus
from millrace.contracts.wire import Problem
from millrace.errors import JobFailed, MillraceError, NotFound
from millrace.events import EventStream
from millrace.stored_results import whole

if TYPE_CHECKING:
    from millrace.client import Millrace

Ending = dict[str, Any]
ENDINGS = frozenset({"job.completed", "job.dead_lettered", "job.cancelled", "job.removed"})


class Endings:
    """Tells whoever waits for a job that it has ended. Reads the log only while somebody waits."""

    def __init__(self, app: Millrace) -> None:
        self._app = app
        self._waiting: dict[str, set[asyncio.Future[Ending]]] = {}
        self._reader: asyncio.Task[None] | None = None
        self._pinned: asyncio.Future[str] | None = None

    async def result(self, job_id: str, timeout: float | None) -> Any:
        """See `JobQueue.result`."""
        async with asyncio.timeout(timeout):
            return await self._result(job_id)

    async def _result(self, job_id: str) -> Any:
        ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(job_id, set())
        waiting.add(ended)
        try:
            # The order matters: the reader has its place before the job is looked at, so no ending falls in between.
            job = await self._look(job_id, await self._reading())
            if not _is_over(job):
                ending = await ended
                if ending["eventtype"] == "job.completed":
                    return await self._whole(job_id, ending["data"].get("result"))
                job = await self._look(job_id, ending["position"])
            if job.status is JobStatus.COMPLETED:
                return await self._whole(job_id, job.result)
            raise JobFailed(job)
        finally:
            waiting.discard(ended)
            if not waiting:
                self._waiting.pop(job_id, None)
            if not self._waiting and self._reader is not None:
                self._reader.cancel()
                self._reader = None

    async def _whole(self, job_id: str, result: Any) -> Any:
        return self._app.registry.codecs.read(await whole(self._app.link, job_id, result), "result")

    async def _look(self, job_id: str, position: str) -> Job:
        job = await self._app.jobs.get(job_id, min_position=position)
        if job is None:
            detail = f"there is no job {job_id}"
            raise NotFound(Problem(title="Not Found", status=404, code="not-found", detail=detail))
        return job

    async def _reading(self) -> str:
        loop = asyncio.get_running_loop()
        if self._reader is None or self._reader.done() or self._reader.get_loop() is not loop:
            self._pinned = loop.create_future()
            self._reader = loop.create_task(self._read(self._pinned))
        assert self._pinned is not None
        return await asyncio.shield(self._pinned)

    async def _read(self, pinned: asyncio.Future[str]) -> None:
        try:
            stream = EventStream(self._app, "job.*", "head")
            pinned.set_result(await stream.pin())
            while True:
                for event in (await stream.next_page()).events:
                    if event["eventtype"] in ENDINGS:
                        for ended in self._waiting.get(event["subject"], ()):
                            if not ended.done():
                                ended.set_result(event)
        except MillraceError as error:
            self._fail(pinned, error)

    def _fail(self, pinned: asyncio.Future[str], error: MillraceError) -> None:
        if not pinned.done():
            pinned.set_exception(error)
            # Every waiter awaits it through a shield; if all have left, nobody is there to read it.
            pinned.exception()
        for waiting in self._waiting.values():
            for ended in waiting:
                if not ended.done():
                    ended.set_exception(error)
                    ended.exception()


def _is_over(job: Job) -> bool:
    return job.status in (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)
