"""A task: a function with `delay`, `apply_async` and what else Celery's tasks have."""

from __future__ import annotations

import functools
import inspect
import random
from collections.abc import Callable
from datetime import UTC, datetime
from inspect import Parameter
from typing import TYPE_CHECKING, Any, NoReturn

from millrace.binding import Binding
from millrace.contrib.celery.errors import MaxRetriesExceededError, NotSupported, Retry
from millrace.contrib.celery.marks import KEY
from millrace.contrib.celery.options import TaskOptions
from millrace.contrib.celery.request import Request, request, running
from millrace.contrib.celery.sending import send_task
from millrace.contrib.celery.signature import Signature
from millrace.job_context import JobContext
from millrace.registry import JobDefinition

if TYPE_CHECKING:
    from millrace.contrib.celery.app import Celery
    from millrace.contrib.celery.results import AsyncResult

# How the handler gets its job; no task has a parameter of that name.
JOB = "millrace_job"


class Task:
    """What `@app.task` leaves behind. Calling it runs the function here and now.

    Raises:
        NotSupported: the function takes arguments by position alone, or a plain function has a soft time limit.
    """

    def __init__(self, function: Callable[..., Any], name: str, options: TaskOptions, app: Celery | None) -> None:
        functools.update_wrapper(self, function)
        self.name = name
        self.run = function
        self.options = options
        self.max_retries: int | None = options.max_retries
        self.default_retry_delay = options.default_retry_delay
        self.expires = options.expires
        self._app = app
        self.is_async = inspect.iscoroutinefunction(function)
        self._parameters = _parameters(function, options.bind)
        if options.soft_time_limit is not None and not self.is_async:
            raise NotSupported(
                f"soft_time_limit of the plain function {name!r}",
                "a thread cannot be interrupted; make it `async def`, or use @app.job(soft_timeout=…) and look at "
                "job.soft_timed_out",
            )
        self.definition = self._definition()

    @property
    def app(self) -> Celery:
        """The application that sends it; for a shared task the current one."""
        from millrace.contrib.celery.shared import current_app

        return self._app or current_app()

    @property
    def request(self) -> Request:
        """The attempt that runs in this thread or task."""
        return request()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(self, *args, **kwargs) if self.options.bind else self.run(*args, **kwargs)

    def signature(
        self, args: tuple[Any, ...] | list[Any] = (), kwargs: dict[str, Any] | None = None, *, immutable: bool = False
    ) -> Signature:
        """A call that is not sent yet."""
        return Signature(self.app, self.name, tuple(args), dict(kwargs or {}), immutable=immutable)

    subtask = signature

    def s(self, *args: Any, **kwargs: Any) -> Signature:
        """The same, with the arguments as a call has them."""
        return self.signature(args, kwargs)

    def si(self, *args: Any, **kwargs: Any) -> Signature:
        """The same, not to be given the result of what is before it."""
        return self.signature(args, kwargs, immutable=True)

    def delay(self, *args: Any, **kwargs: Any) -> AsyncResult:
        """Has a worker run it with these arguments; durable when this returns.

        Raises:
            TypeError: the function does not take them.
        """
        return self.signature(args, kwargs).apply_async()

    def apply_async(
        self, args: tuple[Any, ...] | list[Any] | None = None, kwargs: dict[str, Any] | None = None, **options: Any
    ) -> AsyncResult:
        """Has a worker run it.

        Args:
            countdown: seconds before it may run.
            eta: time before which it does not run; without a zone in that of `conf.timezone`.
            expires: seconds or the time after which it is not started any more, and revoked.
            queue: where it waits.
            priority: 0 to 9, higher first.
            task_id: makes a repeat within 7 days return the same job. The job has an id of its own.
            time_limit: seconds that an attempt may take.
            link: one or more signatures that are sent with it, to run with its result.

        Raises:
            NotSupported: another option of Celery's.
        """
        return self.signature(args or (), kwargs).apply_async(**options)

    async def adelay(self, *args: Any, **kwargs: Any) -> AsyncResult:
        """`delay` for code in an event loop, which must not block."""
        return await send_task(self.app, self.signature(args, kwargs))

    def apply(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise NotSupported("apply()", "call the task like a function, or use `with eager(app):` in tests")

    def AsyncResult(self, id: str) -> AsyncResult:
        """What becomes of the job of that id."""
        return self.app.AsyncResult(id)

    def retry(
        self,
        args: Any = None,
        kwargs: Any = None,
        exc: Exception | None = None,
        throw: bool = True,
        eta: datetime | None = None,
        countdown: float | None = None,
        max_retries: int | None = None,
    ) -> Retry:
        """Has the task tried again; raises, so that nothing behind it is run.

        Args:
            exc: what went wrong; raised itself where no attempt is left.
            countdown: seconds to wait; default `default_retry_delay`.
            eta: the time until which to wait instead.
            max_retries: give up earlier than the task's own.
            throw: false returns what would be raised.

        Raises:
            Retry: always, where an attempt is left.
            MaxRetriesExceededError: none is left, and there is no `exc`.
            NotSupported: other arguments, or more retries than the task has.
        """
        job = self.request.job
        if args is not None or kwargs is not None:
            raise NotSupported("retry() with other arguments", "send another task and return, or app.jobs.change")
        if max_retries is not None and max_retries > self.options.retries:
            raise NotSupported(f"retry(max_retries={max_retries})", "give max_retries to the task's decorator")
        if job is None:
            raise exc or Retry(0, "the task was called directly")
        if job.attempts >= job.max_attempts or (max_retries is not None and job.attempts > max_retries):
            raise exc or MaxRetriesExceededError(f"task {self.name} ({job.id}) was tried {job.attempts} times")
        if eta is not None:
            seconds = max(0.0, (eta - datetime.now(eta.tzinfo or UTC)).total_seconds())
        else:
            seconds = self.default_retry_delay if countdown is None else countdown
        retry = Retry(seconds, f"again in {seconds:g} s" + (f": {exc!r}" if exc else ""))
        if throw:
            raise retry from exc
        return retry

    def update_state(self, task_id: str | None = None, state: str | None = None, meta: Any = None) -> None:
        """Tells what the task is at; `AsyncResult.info` has it within ten seconds. The state stays STARTED.

        Raises:
            NotSupported: called for another task, or for what is not its details.
        """
        job = self.request.job
        if job is None or task_id not in (None, job.id) or not isinstance(meta or {}, dict):
            raise NotSupported("update_state() of another task", "a task tells of itself, with a dict as meta")
        job.heartbeat(**({"state": state} if state else {}), **(meta or {}))

    def data(self, args: tuple[Any, ...], kwargs: dict[str, Any], filled: bool) -> tuple[dict[str, Any], str | None]:
        """The job's data for these arguments, by name.

        Args:
            filled: the first argument is not among them, since it comes with the job.

        Returns:
            The data, and which parameter is to be filled.

        Raises:
            TypeError: the function does not take the arguments.
        """
        if not filled:
            return self.definition.binding.data(args, kwargs), None
        data = self.definition.binding.data((None, *args), kwargs)
        first = next(iter(self._parameters))
        return {name: value for name, value in data.items() if name != first}, first

    def wait_for(self, job: JobContext, error: Exception) -> float | bool | None:
        """Seconds until a failed attempt is followed by another one; False for never, as Celery does it."""
        options = self.options
        if not isinstance(error, options.autoretry_for) or isinstance(error, options.dont_autoretry_for):
            return False
        if not options.retry_backoff:
            return float((options.retry_kwargs or {}).get("countdown", options.default_retry_delay))
        first = 1.0 if options.retry_backoff is True else float(options.retry_backoff)
        wait = min(options.retry_backoff_max, first * 2.0 ** min(job.attempts - 1, 64))
        return random.uniform(0, wait) if options.retry_jitter else wait

    def _definition(self) -> JobDefinition:
        options = self.options
        handler = self._handler()
        delay = min(max(options.default_retry_delay, 0.001), 31_536_000)
        given: dict[str, Any] = {
            "queue": options.queue,
            "priority": options.priority,
            "max_attempts": min(options.retries + 1, 1_000),
            "timeout": options.time_limit,
            # For attempts that ran out of time or lost their worker; of errors `wait_for` decides.
            "retry": {"kind": "fixed", "delay": delay, "max_delay": delay, "jitter": 0},
        }
        settings = {name: value for name, value in given.items() if value is not None}
        return JobDefinition(
            self.name, handler, Binding(handler), settings, options.soft_time_limit, self.wait_for, options.pool
        )

    def _handler(self) -> Callable[..., Any]:
        """The function as a worker calls it: with its job, and everything by name."""
        if self.is_async:

            @functools.wraps(self.run)
            async def arun(**arguments: Any) -> Any:
                with running(arguments.pop(JOB)):
                    return self._kept(await self(**arguments))

            handler: Callable[..., Any] = arun
        else:

            @functools.wraps(self.run)
            def run(**arguments: Any) -> Any:
                with running(arguments.pop(JOB)):
                    return self._kept(self(**arguments))

            handler = run
        job = Parameter(JOB, Parameter.POSITIONAL_OR_KEYWORD, annotation=JobContext)
        vars(handler)["__signature__"] = inspect.Signature([job, *self._parameters.values()])
        return handler

    def _kept(self, result: Any) -> Any:
        ignored = self.options.ignore_result
        return None if (self.app.conf.task_ignore_result if ignored is None else ignored) else result

    def __repr__(self) -> str:
        return f"<Task: {self.name}>"


def _parameters(function: Callable[..., Any], bind: bool) -> dict[str, Parameter]:
    """The parameters that a job has arguments for."""
    parameters = list(inspect.signature(function).parameters.values())[1 if bind else 0 :]
    for parameter in parameters:
        if parameter.kind in (Parameter.VAR_POSITIONAL, Parameter.POSITIONAL_ONLY):
            raise NotSupported(
                f"the parameter {parameter} of {function.__qualname__}",
                "a job's arguments have names; give the function a list instead",
            )
        if parameter.name in (JOB, KEY):
            raise NotSupported(f"the parameter {parameter}", "the name is taken; give it another one")
    return {parameter.name: parameter for parameter in parameters}
