"""Waits for what nothing signals, because it happens in another process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

POLL_SECONDS = 0.02


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float, what: str) -> None:
    """Returns as soon as the condition holds.

    Raises:
        TimeoutError: it did not within `seconds`; the message says `what` was waited for.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        holds = condition()
        if holds if isinstance(holds, bool) else await holds:
            return
        if loop.time() > deadline:
            raise TimeoutError(f"waited {seconds:g} s in vain until {what}")
        await asyncio.sleep(POLL_SECONDS)
