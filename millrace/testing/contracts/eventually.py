"""Waits for what nothing signals, such as a row that another process writes, never longer than a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
POLL_SECONDS = 0.01


async def eventually(look: Callable[[], Awaitable[T]], holds: Callable[[T], object] = bool, seconds: float = 60.0) -> T:
    """What `look` finds as soon as `holds` accepts it; fails with the last finding once `seconds` are over."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        found = await look()
        if holds(found):
            return found
        assert loop.time() < deadline, f"after {seconds} s still {found!r}"
        await asyncio.sleep(POLL_SECONDS)
