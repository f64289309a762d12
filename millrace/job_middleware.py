"""What goes around every handler: the application's middleware, put together once for a worker."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from millrace.job_context import JobContext

CallNext = Callable[[], Awaitable[Any]]
Around = Callable[[JobContext, CallNext], Awaitable[Any]]
Handle = Callable[[JobContext], Coroutine[Any, Any, Any]]


def composed(middleware: Sequence[Around], handle: Handle) -> Handle:
    """`handle` inside all of the middleware; the first of it is the outermost."""
    for around in reversed(middleware):
        handle = partial(_layer, around, handle)
    return handle


async def _layer(around: Around, inner: Handle, job: JobContext) -> Any:
    return await around(job, partial(inner, job))


def as_around(function: Callable[..., Any]) -> Around:
    """Middleware as it is.

    Raises:
        TypeError: it is a plain function, which could not wait for the handler.
    """
    if not inspect.iscoroutinefunction(function):
        raise TypeError(f"{function!r} must be `async def`: middleware around a handler awaits it")
    return function


def as_before(function: Callable[[JobContext], Any]) -> Around:
    """Middleware that calls the function before the handler."""

    async def around(job: JobContext, call_next: CallNext) -> Any:
        await _settled(function(job))
        return await call_next()

    return around


def as_after(function: Callable[[JobContext, Any], Any]) -> Around:
    """Middleware that calls the function with the handler's result."""

    async def around(job: JobContext, call_next: CallNext) -> Any:
        result = await call_next()
        await _settled(function(job, result))
        return result

    return around


def as_on_error(function: Callable[[JobContext, Exception], Any]) -> Around:
    """Middleware that calls the function with what the handler raised, which stays raised."""

    async def around(job: JobContext, call_next: CallNext) -> Any:
        try:
            return await call_next()
        except Exception as error:
            await _settled(function(job, error))
            raise

    return around


async def _settled(value: Any) -> None:
    if inspect.isawaitable(value):
        await value
