"""Runs a bench so that nothing of it is left when somebody ends it."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
ENDED_BY_SIGNAL = 130


def run_cleanly(work: Coroutine[Any, Any, T]) -> T:
    """Runs `work`; SIGTERM cancels it like Ctrl-C, so that its servers, mounts and folders go with it."""
    # The drivers tell of every connection that breaks here, which is what this is about.
    for name in ("aiormq", "aio_pika", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)

    async def watched() -> T:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    try:
        return asyncio.run(watched())
    except (asyncio.CancelledError, KeyboardInterrupt):
        raise SystemExit(ENDED_BY_SIGNAL) from None
