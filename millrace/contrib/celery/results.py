"""`AsyncResult` and `GroupResult`: what became of tasks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from millrace.contracts.job import Job, JobStatus
from millrace.contracts.job_result import stored_of
from millrace.contrib.celery.errors import NotSupported, UnknownResult, failure_of
from millrace.contrib.celery.request import request
from millrace.errors import JobFailed, NotFound

if TYPE_CHECKING:
    from millrace.contrib.celery.app import Celery

READY = frozenset({"SUCCESS", "FAILURE", "REVOKED"})


class AsyncResult:
    """What becomes of a task; `id` is that of its job.

    Attributes:
        parent: the result of what it comes after in a chain.
    """

    def __init__(self, id: str, app: Celery | None = None, parent: AsyncResult | GroupResult | None = None) -> None:
        from millrace.contrib.celery.shared import current_app

        self.id = self.task_id = id
        self.app = app or current_app()
        self.parent = parent

    def get(self, timeout: float | None = None, propagate: bool = True, *, disable_sync_subtasks: bool = True) -> Any:
        """Waits for the task's end and returns what it returned.

        Args:
            timeout: seconds.
            propagate: raise the task's error; else it is returned.
            disable_sync_subtasks: refuse to wait within a task.

        Raises:
            TimeoutError: it did not end in time.
            TaskRevokedError: it was revoked.
            TaskFailed: it failed with an error whose class is not loaded here; else that error itself.
            UnknownResult: there is no such job.
            RuntimeError: a task waits, which can keep the very worker busy that it waits for.
        """
        if disable_sync_subtasks and not request().called_directly:
            raise RuntimeError("a task must not wait for another one: put them into a chain or a chord")
        try:
            return self.app.wait(self.id, timeout)
        except NotFound as error:
            raise UnknownResult(f"there is no job {self.id}") from error
        except JobFailed as failed:
            failure = self._first_failure() or failure_of(failed.job)
            if propagate:
                raise failure from failed
            return failure

    wait = get

    @property
    def state(self) -> str:
        """PENDING, STARTED, RETRY, SUCCESS, FAILURE or REVOKED.

        Raises:
            UnknownResult: there is no such job.
        """
        job = self.job
        match job.status:
            case JobStatus.PENDING | JobStatus.DELAYED:
                return "RETRY" if job.attempts else "PENDING"
            case JobStatus.PROCESSING:
                return "STARTED"
            case JobStatus.COMPLETED:
                return "SUCCESS"
            case JobStatus.FAILED:
                return "FAILURE"
            case JobStatus.CANCELLED:
                return "REVOKED"

    @property
    def status(self) -> str:
        return self.state

    @property
    def job(self) -> Job:
        """The job as it is now."""
        job = self.app.send(lambda client: client.jobs.get(self.id))
        if job is None:
            raise UnknownResult(f"there is no job {self.id}")
        return job

    @property
    def result(self) -> Any:
        """What the task returned, the error that it failed with, or None while it has not ended."""
        job = self.job
        match job.status:
            case JobStatus.COMPLETED:
                return job.result if stored_of(job.result) is None else self.app.wait(self.id, None)
            case JobStatus.FAILED | JobStatus.CANCELLED:
                return failure_of(job)
            case _:
                return None

    @property
    def info(self) -> Any:
        """The result, or what the running task last told by `update_state`."""
        job = self.job
        return job.heartbeat.details if job.heartbeat is not None else self.result

    @property
    def traceback(self) -> str | None:
        """Of the last error, as text."""
        detail = self.job.error_detail
        return None if detail is None else detail.traceback

    @property
    def name(self) -> str:
        return self.job.name

    @property
    def retries(self) -> int:
        return max(0, self.job.attempts - 1)

    @property
    def date_done(self) -> datetime | None:
        job = self.job
        return job.completed_at or job.failed_at

    def ready(self) -> bool:
        """Whether the task has ended, however."""
        return self.state in READY

    def successful(self) -> bool:
        return self.state == "SUCCESS"

    def failed(self) -> bool:
        return self.state == "FAILURE"

    def revoke(self, terminate: bool = False, signal: str | None = None) -> bool:
        """Ends the task, a running one too, with or without `terminate`; false where it had ended by itself."""
        if signal is not None:
            raise NotSupported(
                "revoke(signal=…)", "a coroutine is cancelled, a plain task sees self.request.job.cancelled"
            )
        return self.app.send(lambda client: client.jobs.cancel(self.id, "revoked"))

    def forget(self) -> None:
        """Takes the job out of what can be read.

        Raises:
            Refused: it is running.
        """
        self.app.send(lambda client: client.jobs.remove(self.id))

    def _first_failure(self) -> Exception | None:
        """The error of the task of the chain that failed, where this one was revoked for it."""
        job, parent = self.job, self.parent
        if job.status is not JobStatus.CANCELLED or parent is None:
            return None
        for each in [parent] if isinstance(parent, AsyncResult) else parent.leaves():
            match each.job.status:
                case JobStatus.FAILED:
                    return failure_of(each.job)
                case JobStatus.CANCELLED:
                    return each._first_failure()
                case _:
                    continue
        return None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AsyncResult) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<AsyncResult: {self.id}>"


class GroupResult:
    """What becomes of the tasks of a group."""

    def __init__(
        self, results: list[AsyncResult | GroupResult], parent: AsyncResult | GroupResult | None = None
    ) -> None:
        self.results = results
        self.parent = parent

    def get(self, timeout: float | None = None, propagate: bool = True) -> list[Any]:
        """The results in the order of the group; `timeout` is for each.

        Raises:
            Exception: as `AsyncResult.get`.
        """
        return [result.get(timeout=timeout, propagate=propagate) for result in self.results]

    join = get

    def leaves(self) -> Iterator[AsyncResult]:
        """The single results."""
        for result in self.results:
            if isinstance(result, GroupResult):
                yield from result.leaves()
            else:
                yield result

    def ready(self) -> bool:
        """Whether all have ended."""
        return all(result.ready() for result in self.leaves())

    def successful(self) -> bool:
        """Whether all have succeeded."""
        return all(result.successful() for result in self.leaves())

    def failed(self) -> bool:
        """Whether one has failed."""
        return any(result.failed() for result in self.leaves())

    def waiting(self) -> bool:
        """Whether one has not ended."""
        return not self.ready()

    def completed_count(self) -> int:
        return sum(result.successful() for result in self.leaves())

    def revoke(self) -> None:
        """Ends all of them."""
        for result in self.leaves():
            result.revoke()

    def __iter__(self) -> Iterator[AsyncResult | GroupResult]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def __getitem__(self, index: int) -> AsyncResult | GroupResult:
        return self.results[index]
