"""Declaring jobs: `@app.job`, which is also `@queue.handler` and `@queue.worker`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast, overload

from millrace.binding import Binding
from millrace.contracts.job import Retry
from millrace.job_function import JobFunction
from millrace.registry import JobDefinition

if TYPE_CHECKING:
    from millrace.client import Millrace
    from millrace.jobs import JobQueue

P = ParamSpec("P")
R = TypeVar("R")


class JobDecorators:
    """The decorators of a `JobQueue`."""

    def __init__(self, app: Millrace) -> None:
        self._app = app

    @overload
    def job(self, name: Callable[P, R], /) -> JobFunction[P, R]: ...

    @overload
    def job(
        self,
        name: str | None = None,
        *,
        queue: str | None = None,
        priority: int | None = None,
        max_attempts: int | None = None,
        timeout: float | None = None,
        retry: Retry | Mapping[str, Any] | str | None = None,
    ) -> Callable[[Callable[P, R]], JobFunction[P, R]]: ...

    def job(
        self,
        name: str | Callable[P, R] | None = None,
        *,
        queue: str | None = None,
        priority: int | None = None,
        max_attempts: int | None = None,
        timeout: float | None = None,
        retry: Retry | Mapping[str, Any] | str | None = None,
    ) -> JobFunction[P, R] | Callable[[Callable[P, R]], JobFunction[P, R]]:
        """Declares the function that runs jobs of a name; the function's own name unless another is given.

        The function may be `async def` or plain; plain ones run in threads. A parameter called `job`, or annotated
        `Job` or `JobContext`, gets the `JobContext`; all others come from the job's data by name. The options are
        defaults for enqueuing the job.

        Raises:
            ValueError: another function has the name.
            TypeError: a parameter can only be given by position.
        """
        options = {
            "queue": queue,
            "priority": priority,
            "max_attempts": max_attempts,
            "timeout": timeout,
            "retry": retry,
        }
        given = {key: value for key, value in options.items() if value is not None}

        def declare(function: Callable[P, R]) -> JobFunction[P, R]:
            own_name = name if isinstance(name, str) else function.__name__
            definition = JobDefinition(own_name, function, Binding(function), given)
            self._app.registry.add_job(definition)
            return JobFunction(cast("JobQueue", self), function, definition)

        return declare(name) if callable(name) else declare

    handler = job
    worker = job
