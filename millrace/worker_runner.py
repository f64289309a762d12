"""Runs attempts: one task each, ended by itself, by its timeout, or because it lost its validity."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Any

from millrace import worker_outcomes
from millrace.cause import CAUSE, Cause
from millrace.contracts.job_result import MAX_INLINE_BYTES
from millrace.errors import NoHandler, Snooze
from millrace.job_context import JobContext
from millrace.job_middleware import composed
from millrace.job_progress import JobProgress
from millrace.link import Link
from millrace.logs import Log
from millrace.progress_commands import ProgressCommands
from millrace.registry import JobDefinition, Registry
from millrace.tracing import JobSpans, traceparent_of
from millrace.worker_checkpoints import Checkpoints
from millrace.worker_leases import Key
from millrace.worker_logs import Logs
from millrace.worker_processes import Processes
from millrace.worker_results import Results
from millrace.worker_retries import chosen_wait
from millrace.worker_soft_timeout import SoftLimited, interrupt
from millrace.worker_threads import Threads

STOP_SECONDS = 5.0
log = Log("millrace.worker")


class Stop(Enum):
    """Why an attempt was asked to end."""

    TIMEOUT = "timeout"
    LOST = "lost"
    SHUTDOWN = "shutdown"


class Run:
    """One attempt on its way through the worker."""

    __slots__ = ("begun", "checkpoints", "definition", "job", "key", "reason", "reported", "since", "task", "timers")
    checkpoints: Checkpoints

    def __init__(self, job: JobContext, definition: JobDefinition | None) -> None:
        self.job = job
        self.key: Key = (job.id, job.attempt)
        self.definition = definition
        self.begun = False
        self.since = 0.0
        self.reported = False
        self.reason: Stop | None = None
        self.task: asyncio.Task[None] | None = None
        self.timers: list[asyncio.TimerHandle] = []


class Runner:
    """Starts handlers and tells how they ended. `logs` has what they log.

    Args:
        report: called once with an attempt's outcome and its tenant, unless the attempt was lost.
        ended: called when the handler has returned; only then is its slot free.
        max_inline: bytes of a result that go with the report; larger ones are uploaded before.
    """

    def __init__(
        self,
        link: Link,
        registry: Registry,
        threads: Threads,
        report: Callable[[Key, bytes, str | None], None],
        ended: Callable[[Run], None],
        max_inline: int = MAX_INLINE_BYTES,
    ) -> None:
        self._link = link
        self._progress = ProgressCommands(lambda: link)
        # Taken here: later code runs in the context of whichever handler ended last.
        self._origin = link.origin()
        self.logs = Logs(link, self._origin)
        self._results = Results(link, self._origin)
        self._max_inline = max_inline
        self._registry = registry
        self._handle = composed(registry.middleware, self._invoke)
        self._threads = threads
        self._report = report
        self._ended = ended
        self.processes = Processes()
        self._context = contextvars.copy_context()
        self._spans = JobSpans.of_application()

    def start(self, grant: dict[str, Any]) -> Run:
        """Starts the granted attempt."""
        job = JobContext(grant)
        run = Run(job, self._registry.jobs.get(job.name))
        origin = self._origin.in_name_of(job.tenant)
        run.checkpoints = Checkpoints(self._link, origin, run.key, partial(self.stop, run, Stop.LOST))
        loop = asyncio.get_running_loop()
        job.keep(run.checkpoints, self.logs, partial(JobProgress, job, self._progress, loop))
        self.logs.begun(run.key, job.tenant)
        run.since = loop.time()
        # In a context of its own: what one handler sets in context variables, the next one does not see.
        run.task = loop.create_task(self._drive(run), context=self._context.copy())
        run.timers.append(loop.call_later(job.timeout, self.stop, run, Stop.TIMEOUT))
        if run.definition is not None and run.definition.soft_timeout is not None:
            run.timers.append(loop.call_later(run.definition.soft_timeout, self._warn, run))
        return run

    def stop(self, run: Run, reason: Stop) -> None:
        """Asks the handler to end: a coroutine is canceled, a thread sees `job.cancelled`.

        A lost attempt is not reported. One that timed out is reported when it ends, or after 5 s if it does not.
        """
        if reason is Stop.LOST:
            run.reported = True
        if run.reason is not None:
            return
        run.reason = reason
        run.job.stop(reason.value)
        if reason is Stop.TIMEOUT:
            outcome = worker_outcomes.timed_out(run.job)
            asyncio.get_running_loop().call_later(STOP_SECONDS, self._report_once, run, outcome)
        if run.task is not None and not (run.begun and self._in_thread(run)):
            run.task.cancel()
            # Cleaning up has as long; what hangs in there is not to keep the slot.
            run.timers.append(asyncio.get_running_loop().call_later(STOP_SECONDS, run.task.cancel))
        if run.definition is not None and run.definition.pool == "process":
            self.processes.kill(run.key)
        if not run.begun:
            self._finish(run, None)

    def _warn(self, run: Run) -> None:
        run.job.soft_timed_out = True
        if run.task is not None and run.begun and run.reason is None and not self._in_thread(run):
            interrupt(run.task)

    def close(self) -> None:
        """Ends the processes of handlers."""
        self.processes.close()

    def hand_back(self, run: Run) -> None:
        """Reports a handler that does not end as handed back."""
        self._report_once(run, worker_outcomes.returned(*run.key))

    async def _drive(self, run: Run) -> None:
        run.begun = True
        job = run.job
        CAUSE.set(Cause(job.correlation_id, job.id, job.traceparent, job.tenant))
        outcome: bytes | None = None
        try:
            text = worker_outcomes.result_text(job, await self._traced(run), partial(self._written, run))
            if len(text) > self._max_inline:
                outcome = worker_outcomes.stored(job, await self._results.upload(job, text))
            else:
                outcome = worker_outcomes.completed(job, text)
            if run.reason is not Stop.TIMEOUT:
                run.checkpoints.close()
        except NoHandler as error:
            log.warning("a job is left to other workers", job=job.name, job_id=job.id, reason=str(error))
            outcome = worker_outcomes.unknown(job, error)
        except Snooze as snooze:
            outcome = worker_outcomes.snoozed(job, snooze)
        except BaseException as error:
            # A cancellation that nobody asked for came out of the handler: a library's way to say that a connection
            # was lost. It is a failure like any other, and so is whatever else a handler lets out: neither may it end
            # the worker nor keep its slot.
            if run.reason is None:
                outcome = worker_outcomes.failed(job, error, chosen_wait(run.definition, job, error))
        self._finish(run, outcome)

    async def _traced(self, run: Run) -> Any:
        if self._spans is None:
            return await self._call(run)
        job = run.job
        with self._spans.around(job) as span:
            CAUSE.set(Cause(job.correlation_id, job.id, traceparent_of(span) or job.traceparent, job.tenant))
            return await self._call(run)

    async def _call(self, run: Run) -> Any:
        if run.definition is None:
            raise NoHandler(run.job.name)
        job, codecs = run.job, self._registry.codecs
        job.parents = tuple(codecs.parent(parent) for parent in job.parents)
        job.data = run.definition.versions.brought_up(job.name, codecs.arguments(job.data))
        work = self._handle(run.job)
        if run.definition.soft_timeout is None or self._in_thread(run):
            return await work
        return await SoftLimited(work, run.definition.soft_timeout)

    async def _invoke(self, job: JobContext) -> Any:
        definition = self._registry.jobs[job.name]
        if definition.pool == "process":
            plain = self._registry.codecs.is_plain(definition.serializer)
            call = {"job": job, "definition": definition, "plain": plain}
            return await self._threads.run(self.processes.call, call)
        arguments = definition.binding.arguments(job)
        if definition.binding.is_async:
            return await definition.function(**arguments)
        result = await self._threads.run(definition.function, arguments)
        return await result if inspect.isawaitable(result) else result

    def _written(self, run: Run, result: Any) -> Any:
        serializer = None if run.definition is None else run.definition.serializer
        return self._registry.codecs.written(serializer, result, "result")

    def _finish(self, run: Run, outcome: bytes | None) -> None:
        self.logs.ended(run.key)
        for timer in run.timers:
            timer.cancel()
        match run.reason:
            case Stop.TIMEOUT:
                self._report_once(run, worker_outcomes.timed_out(run.job))
            case _ if outcome is not None:
                self._report_once(run, outcome)
            case _:
                self._report_once(run, worker_outcomes.returned(*run.key))
        self._ended(run)

    def _report_once(self, run: Run, outcome: bytes) -> None:
        unsaved = run.checkpoints.close()
        if not run.reported:
            run.reported = True
            whole = outcome if unsaved is None else worker_outcomes.continued(outcome, unsaved)
            self._report(run.key, whole, run.job.tenant)

    @staticmethod
    def _in_thread(run: Run) -> bool:
        return run.definition is not None and not run.definition.binding.is_async
