"""The function that `@app.job` leaves behind: callable as before, and able to enqueue itself."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from millrace.contracts.job import Job
from millrace.registry import JobDefinition

if TYPE_CHECKING:
    from millrace.jobs import JobQueue

P = ParamSpec("P")
R = TypeVar("R")


class JobFunction(Generic[P, R]):
    """Calls run the function here and now; `enqueue` has a worker run it."""

    def __init__(
        self,
        queue: JobQueue,
        function: Callable[P, R],
        definition: JobDefinition,
        options: dict[str, Any] | None = None,
    ) -> None:
        functools.update_wrapper(self, function)
        self.name = definition.name
        self._queue = queue
        self._function = function
        self._definition = definition
        self._options = options or {}

    @property
    def definition(self) -> JobDefinition:
        """The handler as a worker knows it."""
        return self._definition

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._function(*args, **kwargs)

    async def enqueue(self, *args: Any, **kwargs: Any) -> Job:
        """Enqueues a job that calls the function with these arguments.

        Raises:
            TypeError: the function does not take them.
        """
        data = self._definition.binding.data(args, kwargs)
        return await self._queue.enqueue(self.name, data, **self._options)

    delay = enqueue

    def options(self, **options: Any) -> JobFunction[P, R]:
        """The same function with other options for its enqueuing: `send.options(priority=5).enqueue(to="…")`."""
        return JobFunction(self._queue, self._function, self._definition, {**self._options, **options})
