"""Loops that must go on whatever happens to the things they depend on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from domain.ports import PublishFailed, StoreOverloaded, StoreUnavailable

DEPENDENCIES = (StoreUnavailable, StoreOverloaded, PublishFailed, OSError, TimeoutError)
AGAIN_SECONDS = 1.0
log = structlog.get_logger("readers")


async def persistently(name: str, run: Callable[[], Coroutine[Any, Any, None]], pause: float = 0.5) -> None:
    """Runs `run` again and again until cancelled; a dead dependency is logged in one line and tried again.

    Each run is a task of its own, so that nothing that it does with cancellations can end the loop or keep it alive.

    Args:
        pause: seconds between two runs.
    """
    while True:
        running = asyncio.create_task(run(), name=f"run of {name}")
        try:
            await asyncio.wait({running})
        except asyncio.CancelledError:
            await end(running)
            raise
        _report(name, running)
        await asyncio.sleep(pause)


async def end(task: asyncio.Task[Any]) -> None:
    """Cancels a task until it is done. A driver may hide a cancellation behind an error of its own, and what waits for
    a server that says nothing may have to be told twice."""
    again: asyncio.CancelledError | None = None
    while not task.done():
        task.cancel()
        try:
            await asyncio.wait({task}, timeout=AGAIN_SECONDS)
        except asyncio.CancelledError as cancelled:
            # Whoever ends this one tells it a second time, too: the task must not be left behind for that.
            again = cancelled
    if not task.cancelled():
        # Seen: nobody else looks at it.
        task.exception()
    if again is not None:
        raise again


def _report(name: str, run: asyncio.Task[None]) -> None:
    error = asyncio.CancelledError() if run.cancelled() else run.exception()
    if error is None:
        return
    dead = _dead_dependency(error)
    if dead is None:
        log.error("failed and starts again", action="loop_failed", loop=name, error=repr(error), exc_info=error)
    else:
        log.warning("paused by a dependency", action="loop_paused", loop=name, error=str(dead) or repr(dead))


def _dead_dependency(error: BaseException) -> BaseException | None:
    """What a dependency has failed with; None where anything else has failed, too. Tasks of one group fail together."""
    if not isinstance(error, BaseExceptionGroup):
        return error if isinstance(error, DEPENDENCIES) else None
    causes = [_dead_dependency(each) for each in error.exceptions]
    return None if None in causes else causes[0]
