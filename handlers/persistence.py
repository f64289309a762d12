"""Loops that must go on whatever happens to the things they depend on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from domain.ports import PublishFailed, StoreOverloaded, StoreUnavailable

DEPENDENCIES = (StoreUnavailable, StoreOverloaded, PublishFailed, OSError, TimeoutError)
log = structlog.get_logger("readers")


async def persistently(name: str, run: Callable[[], Awaitable[None]], pause: float = 0.5) -> None:
    """Runs `run` again and again until cancelled; a dead dependency is logged in one line and tried again.

    Args:
        pause: seconds between two runs.
    """
    while True:
        try:
            await run()
        except Exception as error:
            if _cancelled():
                # What failed on the way out must not keep the loop alive.
                raise asyncio.CancelledError from error
            dead = _dead_dependency(error)
            if dead is None:
                log.error("failed and starts again", action="loop_failed", loop=name, error=repr(error), exc_info=True)
            else:
                log.warning("paused by a dependency", action="loop_paused", loop=name, error=str(dead) or repr(dead))
        await asyncio.sleep(pause)


def _cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _dead_dependency(error: Exception) -> Exception | None:
    """What a dependency has failed with; None where anything else has failed, too. Tasks of one group fail together."""
    if not isinstance(error, ExceptionGroup):
        return error if isinstance(error, DEPENDENCIES) else None
    causes = [_dead_dependency(each) for each in error.exceptions]
    return None if None in causes else causes[0]
