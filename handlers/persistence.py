"""Loops that must go on whatever happens to the things they depend on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from domain.ports import PublishFailed, StoreOverloaded, StoreUnavailable

log = structlog.get_logger("readers")


async def persistently(name: str, run: Callable[[], Awaitable[None]], pause: float = 0.5) -> None:
    """Runs `run` again and again until cancelled; a dead dependency is logged in one line and tried again.

    Args:
        pause: seconds between two runs.
    """
    while True:
        try:
            await run()
        except (StoreUnavailable, StoreOverloaded, PublishFailed, OSError, TimeoutError) as error:
            log.warning("paused by a dependency", action="loop_paused", loop=name, error=str(error))
        except Exception as error:
            log.error("failed and starts again", action="loop_failed", loop=name, error=repr(error), exc_info=True)
        await asyncio.sleep(pause)
