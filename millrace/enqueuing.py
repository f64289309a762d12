"""The part of `app.jobs` that enqueues: one job, many, or a graph of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from millrace.contracts.job import Job, ParentPolicy, Retry, Unique
from millrace.errors import MillraceError, PartlyRefused
from millrace.job_options import enqueue_body, enqueued_job
from millrace.link import Answer

if TYPE_CHECKING:
    from millrace.client import Millrace


class Enqueuing:
    """Mixed into `JobQueue`."""

    _app: Millrace

    async def enqueue(
        self,
        name: str,
        data: Mapping[str, Any] | BaseModel | None = None,
        *,
        payload: Mapping[str, Any] | BaseModel | None = None,
        queue: str | None = None,
        priority: int | None = None,
        delay: float | None = None,
        run_at: datetime | None = None,
        max_attempts: int | None = None,
        timeout: float | None = None,
        retry: Retry | Mapping[str, Any] | str | None = None,
        backoff: Retry | Mapping[str, Any] | str | None = None,
        unique: Unique | Mapping[str, Any] | str | bool | None = None,
        after: Job | str | Iterable[Job | str] | None = None,
        on_parent_failure: ParentPolicy | None = None,
        key: str | None = None,
        affinity: float | bool | None = None,
        batch: str | None = None,
        ref: str | None = None,
        message_id: str | None = None,
    ) -> Job:
        """Puts a job into a queue; when this returns, it is durable.

        Options that are not given come from the job's decorator, if this application has it, else from the service.

        Args:
            delay: seconds before the job may run.
            run_at: time, with its zone, before which it does not run; instead of `delay`.
            timeout: seconds that one attempt may take.
            unique: what no other unfinished job may have: a key, `True` for one made of name and data, or a `Unique`
                that also says what a second one meets and how long the key is taken.
            after: jobs, or their ids, that have to end first. Their results come with this job.
            on_parent_failure: what follows where one of them fails: `cancel` (default), `run` or `wait`.
            key: whom the job is for, where its queue shares or limits by key.
            affinity: seconds, at most 300, for which it would rather wait for the worker that ran the last such job of
                its `key`, while that has room; `True` for 5, `False` for none where the decorator has one.
            batch: id of the batch that it belongs to; see `batch`.
            ref: what siblings name it by; see `enqueue_graph`.
            message_id: makes a repeat of this call, from anywhere within 7 days, return the same job.

        Raises:
            ValueError: both `data` and `payload`, both `retry` and `backoff`, or a `run_at` without a zone.
            NotSerializable: the data cannot be written; `path` says where.
            Invalid: the service does not accept a value.
            DuplicateJob: another job has the unique key.
            BatchSealed: its batch takes no more jobs.
            UnknownBatch: its batch does not exist.
            UnknownParent: one of the jobs of `after` does not exist, or was removed.
            Unavailable: the job was not accepted.
            OutcomeUnknown: it may have been; repeating with the same `message_id` is safe.
        """
        body = enqueue_body(
            self._app.registry, name, data, payload=payload, queue=queue, priority=priority, delay=delay, run_at=run_at,
            max_attempts=max_attempts, timeout=timeout, retry=retry, backoff=backoff, unique=unique, after=after,
            on_parent_failure=on_parent_failure, key=key, affinity=affinity, batch=batch, ref=ref,
        )  # fmt: skip
        answer = await self._app.link.execute("job.enqueue", body, message_id=message_id)
        return await self._enqueued(body, answer.result)

    async def enqueue_many(self, items: Iterable[Mapping[str, Any]]) -> list[Job]:
        """Enqueues many jobs in few messages; each item has the arguments of `enqueue`.

        Not a transaction: every item is accepted or refused for itself.

        Raises:
            PartlyRefused: some items were not accepted; it has the outcome of each.
        """
        bodies = [enqueue_body(self._app.registry, **item) for item in items]
        return await self._all_enqueued(bodies, await self._app.link.execute_many("job.enqueue", bodies))

    async def enqueue_graph(self, items: Iterable[Mapping[str, Any]]) -> list[Job]:
        """Enqueues jobs that come after each other, in one message; a `Graph` makes the items, or they are by hand.

        Each item has the arguments of `enqueue`. In its `after`, `#0` is the first item, and `#load` the one whose
        `ref` is `load`; ids of other jobs may stand beside them.

        Raises:
            DependencyCycle: jobs come after each other in a circle; none was enqueued.
            UnknownParent: an item names a sibling that there is not; none was enqueued.
            PartlyRefused: some items, and those that come after them, were not accepted; it has the outcome of each.
            TooLarge: the graph has more than 10,000 jobs or 1 MB; enqueue its parts with `enqueue_many`.
            OutcomeUnknown: the jobs may have been enqueued.
        """
        bodies = [enqueue_body(self._app.registry, **item) for item in items]
        return await self._all_enqueued(bodies, await self._app.link.execute_together("job.enqueue", bodies))

    async def schedule(
        self, name: str, data: Mapping[str, Any] | BaseModel | None, scheduled_at: datetime, **options: Any
    ) -> Job:
        """Enqueues a job that runs at `scheduled_at` or as soon as possible after it."""
        return await self.enqueue(name, data, run_at=scheduled_at, **options)

    async def _enqueued(self, body: Mapping[str, Any], result: Mapping[str, Any]) -> Job:
        """The new job, or the one that has its key."""
        found = await self._app.jobs.get(result["job_id"]) if result.get("existing") else None
        return found or self._app.registry.codecs.job(enqueued_job(body, result))

    async def _all_enqueued(
        self, bodies: Sequence[Mapping[str, Any]], answers: Sequence[Answer | MillraceError]
    ) -> list[Job]:
        outcomes: list[Job | MillraceError] = []
        for body, answer in zip(bodies, answers, strict=True):
            outcomes.append(await self._enqueued(body, answer.result) if isinstance(answer, Answer) else answer)
        jobs = [outcome for outcome in outcomes if isinstance(outcome, Job)]
        if len(jobs) < len(outcomes):
            raise PartlyRefused(outcomes)
        return jobs
