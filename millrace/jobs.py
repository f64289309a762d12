"""`app.jobs`: enqueue jobs, follow them, and declare what runs them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from millrace.batches import Batches
from millrace.contracts.job import Job, JobStatus, Stats
from millrace.contracts.job_graph import JobGraph
from millrace.contracts.job_logs import JobLog
from millrace.contracts.why import Why
from millrace.enqueuing import Enqueuing
from millrace.errors import NotFound, Refused
from millrace.job_decorators import JobDecorators
from millrace.job_extensions import JobExtensions
from millrace.many_jobs import ManyJobs
from millrace.schedules import Schedules

if TYPE_CHECKING:
    from millrace.client import Millrace

PAGE = 50
# The methods below include one called `list`.
Jobs = list[Job]


@dataclass(frozen=True, slots=True)
class JobPage:
    """Some jobs, newest first, and the cursor of the next page, if there is one."""

    jobs: Jobs
    cursor: str | None


class JobQueue(Enqueuing, ManyJobs, Batches, JobDecorators, JobExtensions):
    """The jobs of one application. `JobQueue(broker=url_or_app)` is the same as `Millrace(url).jobs`."""

    def __init__(self, broker: Millrace | str | None = None) -> None:
        from millrace.client import Millrace

        super().__init__(broker if isinstance(broker, Millrace) else Millrace(broker))
        self.plugin_failures = Counter()
        self.schedules = Schedules(self._app)

    async def logs(self, job_id: str, attempt: int | None = None) -> JobLog:
        """What an attempt has logged with `job.log`, by default the newest that has; kept for seven days.

        Raises:
            NotFound: this tenant has no such job.
        """
        body = {"job_id": job_id} if attempt is None else {"job_id": job_id, "attempt": attempt}
        return JobLog.model_validate(await self._app.link.query("job.logs", body))

    async def get(self, job_id: str, *, logs: bool = False, min_position: str | None = None) -> Job | None:
        """The job, or None where this tenant has none of that id.

        Args:
            logs: read what its newest attempt has logged, too.
        """
        try:
            answer = await self._app.link.query("job.get", {"job_id": job_id}, min_position=min_position)
        except NotFound:
            return None
        job = answer["job"]
        found = Job.model_validate({**job, "logs": (await self.logs(job_id)).lines} if logs else job)
        return self._app.registry.codecs.job(found)

    async def get_status(self, job_id: str) -> JobStatus | None:
        """What the job is doing, or None where this tenant has none of that id."""
        job = await self.get(job_id)
        return job.status if job else None

    async def page(
        self,
        *,
        status: JobStatus | str | None = None,
        queue: str | None = None,
        name: str | None = None,
        key: str | None = None,
        dead_lettered: bool | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        finished_after: datetime | None = None,
        finished_before: datetime | None = None,
        error: str | None = None,
        waiting: str | None = None,
        limit: int = PAGE,
        cursor: str | None = None,
        min_position: str | None = None,
    ) -> JobPage:
        """One page of jobs, newest first; `cursor` is that of the page before.

        Args:
            key: whom the jobs are for.
            created_after: times have a zone; `after` includes the time, `before` does not.
            finished_after: of the time when the job completed or failed for good.
            error: words that the error of one of its attempts has, all of them, in any case.
            waiting: the reason for which jobs wait, as `why` names it: `delayed`, `retry`, `dependent`, `paused`,
                `capped`, `rate-limited`, `circuit-open` or `affinity`.
        """
        filters = {
            "status": status, "queue": queue, "name": name, "key": key, "dead_lettered": dead_lettered,
            "created_after": created_after, "created_before": created_before,
            "finished_after": finished_after, "finished_before": finished_before,
            "error": error, "waiting": waiting, "limit": limit, "cursor": cursor,
        }  # fmt: skip
        body = {key: value for key, value in filters.items() if value is not None}
        answer = await self._app.link.query("job.list", body, min_position=min_position)
        read = self._app.registry.codecs.job
        return JobPage([read(Job.model_validate(job)) for job in answer["jobs"]], answer.get("cursor"))

    async def list(self, **filters: Any) -> Jobs:
        """The jobs of one page; takes what `page` takes."""
        return (await self.page(**filters)).jobs

    async def iterate(self, **filters: Any) -> AsyncIterator[Job]:
        """All jobs that `page`'s filters leave, page after page."""
        cursor: str | None = filters.pop("cursor", None)
        while True:
            page = await self.page(**filters, cursor=cursor)
            for job in page.jobs:
                yield job
            cursor = page.cursor
            if cursor is None:
                return

    async def change(
        self,
        job_id: str,
        *,
        priority: int | None = None,
        delay: float | None = None,
        run_at: datetime | None = None,
        queue: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Gives a waiting job another priority, time, queue or arguments.

        Args:
            delay: seconds from now before it may run; 0 for at once.
            data: all arguments; with nothing else changed the job keeps its place.

        Raises:
            NotFound: this tenant has no such job.
            Refused: it is running or has ended.
            Invalid: nothing is given, or a value is not acceptable.
        """
        settings = {"priority": priority, "delay": delay, "run_at": run_at, "queue": queue, "data": data}
        given = {key: value for key, value in settings.items() if value is not None}
        await self._app.link.execute("job.change", {"job_id": job_id, **given})

    async def cancel(self, job_id: str, reason: str | None = None) -> bool:
        """Ends a waiting, delayed or running job; false when it had already completed or failed.

        Raises:
            NotFound: this tenant has no such job.
        """
        body = {"job_id": job_id} if reason is None else {"job_id": job_id, "reason": reason}
        try:
            await self._app.link.execute("job.cancel", body)
        except Refused as refusal:
            if refusal.code == "refused":
                return False
            raise
        return True

    async def retry(self, job_id: str, reason: str | None = None) -> None:
        """Takes a job out of the dead letters and gives it as many attempts as it was first given.

        Raises:
            NotFound: this tenant has no such job.
            Refused: it is not among the dead letters.
        """
        body = {"job_id": job_id} if reason is None else {"job_id": job_id, "reason": reason}
        await self._app.link.execute("job.retry", body)

    async def remove(self, job_id: str, reason: str | None = None) -> bool:
        """Takes a waiting or finished job out of what can be read; always true.

        Raises:
            NotFound: this tenant has no such job.
            Refused: it is running.
        """
        await self._app.link.execute(
            "job.remove", {"job_id": job_id} if reason is None else {"job_id": job_id, "reason": reason}
        )
        return True

    async def why(self, job_id: str) -> Why:
        """The one reason for which the job has not started, or what became of it.

        Raises:
            NotFound: this tenant has no such job.
        """
        return Why.model_validate(await self._app.link.query("job.why", {"job_id": job_id}))

    async def graph(self, job_id: str, *, limit: int = 500) -> JobGraph:
        """The jobs that a job comes after and those that come after it, directly or not, `limit` at most.

        Raises:
            NotFound: this tenant has no such job.
        """
        return JobGraph.model_validate(await self._app.link.query("job.graph", {"job_id": job_id, "limit": limit}))

    async def stats(self, *, queue: str | None = None, details: bool = False) -> Stats:
        """How many jobs are in each status, and how many workers were seen lately.

        Args:
            details: also each queue, the oldest waiting job, and how long the newest jobs waited and ran.
        """
        body: dict[str, Any] = {} if queue is None else {"queue": queue}
        if details:
            body["details"] = True
        return Stats.model_validate(await self._app.link.query("job.stats", body))

    async def dead_letters(self, **filters: Any) -> Jobs:
        """One page of the jobs whose attempts are used up; takes what `page` takes."""
        return await self.list(**filters, dead_lettered=True)

    async def result(self, job_id: str, timeout: float | None = None) -> Any:
        """Waits for the job's end and returns its result.

        Args:
            timeout: seconds; None waits for ever.

        Raises:
            JobFailed: it ended without a result.
            NotFound: this tenant has no such job.
            TimeoutError: it did not end in time; it goes on.
            ResultDamaged: a large result came otherwise than it was stored.
            UnknownCodec: its serializer is none of this application's.
        """
        return await self._app.endings.result(job_id, timeout)

    get_job = get
    get_jobs = list
    cancel_job = cancel
    retry_job = retry
    remove_job = remove
    get_stats = stats
