"""Declaring jobs: `@app.job`, which is also `@queue.handler` and `@queue.worker`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, cast, overload

from millrace.binding import Binding
from millrace.contracts.circuit import CircuitPolicy
from millrace.contracts.job import Retry
from millrace.contracts.job_enqueue import MOST_AFFINITY
from millrace.job_function import JobFunction
from millrace.job_versions import Upcast, Versions
from millrace.registry import Backoff, JobDefinition
from millrace.serializers import Serializer, serializer_of

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
        soft_timeout: float | None = None,
        retry: Retry | Mapping[str, Any] | str | Backoff | None = None,
        affinity: float | bool | None = None,
        pool: Literal["thread", "process"] = "thread",
        version: int = 1,
        upcast: Mapping[int, Upcast] | None = None,
        serializer: Serializer | str | None = None,
        circuit: CircuitPolicy | Mapping[str, Any] | None = None,
    ) -> Callable[[Callable[P, R]], JobFunction[P, R]]: ...

    def job(
        self,
        name: str | Callable[P, R] | None = None,
        *,
        queue: str | None = None,
        priority: int | None = None,
        max_attempts: int | None = None,
        timeout: float | None = None,
        soft_timeout: float | None = None,
        retry: Retry | Mapping[str, Any] | str | Backoff | None = None,
        affinity: float | bool | None = None,
        pool: Literal["thread", "process"] = "thread",
        version: int = 1,
        upcast: Mapping[int, Upcast] | None = None,
        serializer: Serializer | str | None = None,
        circuit: CircuitPolicy | Mapping[str, Any] | None = None,
    ) -> JobFunction[P, R] | Callable[[Callable[P, R]], JobFunction[P, R]]:
        """Declares the function that runs jobs of a name; the function's own name unless another is given.

        The function may be `async def` or plain; plain ones run in threads. A parameter called `job`, or annotated
        `Job` or `JobContext`, gets the `JobContext`; all others come from the job's data by name. The options are
        defaults for enqueuing the job.

        Args:
            soft_timeout: seconds after which a coroutine gets a `SoftTimeout` where it waits, and a plain function sees
                `job.soft_timed_out`; holds for all jobs of the name, whoever enqueued them.
            retry: a policy, the name of its kind, or a function of (job, error) that gives the seconds to wait for the
                next attempt, None for the policy's, or False for no other one; it runs in the worker.
            affinity: as in `enqueue`, for jobs that have a `key`; one that is enqueued with `affinity=False` has none.
            pool: where a plain function runs: `process` is for what computes, and must stand at the top of a module.
            version: of the arguments that the function takes.
            upcast: for each older version the function that makes its data that of the next one.
            circuit: when jobs of the name pause because too many attempts fail, such as
                `{"failures": 5, "window": 60, "pause": 30}`; a worker declares it when it starts.
            serializer: of arguments and result, in place of the application's; `json`, `typed` or an object.

        Raises:
            ValueError: another function has the name, `soft_timeout` is not below `timeout`, `affinity` is no time that
                the service takes, or an upcast is missing.
            TypeError: a parameter can only be given by position, or the function cannot run in a process.
        """
        options = {
            "queue": queue,
            "priority": priority,
            "max_attempts": max_attempts,
            "timeout": timeout,
            "retry": None if callable(retry) else retry,
            "affinity": affinity or None,
        }
        backoff = retry if callable(retry) else None
        if soft_timeout is not None and not 0 < soft_timeout < (timeout or math.inf):
            raise ValueError(f"soft_timeout must be above 0 and below the timeout, not {soft_timeout}")
        if affinity is not None and not 0 <= affinity <= MOST_AFFINITY:
            raise ValueError(f"affinity must be at most {MOST_AFFINITY} seconds, or True or False, not {affinity}")
        given = {key: value for key, value in options.items() if value is not None}

        versions = Versions(version, upcast or {})
        breaker = None if circuit is None else CircuitPolicy.model_validate(circuit)
        codec = None if serializer is None else serializer_of(serializer)

        def declare(function: Callable[P, R]) -> JobFunction[P, R]:
            own_name = name if isinstance(name, str) else function.__name__
            if pool == "process":
                _check_for_process(function, soft_timeout)
            definition = JobDefinition(
                own_name, function, Binding(function), given, soft_timeout, backoff, pool, versions, codec
            )
            self._app.registry.add_job(definition)
            if breaker is not None:
                self._app.registry.circuits[own_name] = breaker
            return JobFunction(cast("JobQueue", self), function, definition)

        return declare(name) if callable(name) else declare

    handler = job
    worker = job


def _check_for_process(function: Callable[..., Any], soft_timeout: float | None) -> None:
    """Refuses what cannot run in a process.

    Raises:
        TypeError: the function is `async def`, or another process could not find it.
        ValueError: it has a soft time limit, which nobody in the process could see.
    """
    if Binding(function).is_async:
        raise TypeError(f"{function!r} is `async def`: pool='process' is for plain functions")
    if "<" in function.__qualname__:
        raise TypeError(f"{function!r} must stand at the top of a module for pool='process': a process imports it")
    if soft_timeout is not None:
        raise ValueError("soft_timeout cannot be told to a process; a handler there is killed at its timeout")
