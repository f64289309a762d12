"""The service's own tasks: what runs here is not cancelled when a connection goes."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger(__name__)


class Tasks:
    """Tasks that somebody watches: an exception is logged, and the end waits for them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._running: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=self._name)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def settle(self, seconds: float) -> None:
        """Waits for what runs now, at most for `seconds`; cancels nothing."""
        if self._running:
            await asyncio.wait(set(self._running), timeout=seconds)

    async def stop(self) -> None:
        """Cancels what runs and waits a second for it to end."""
        for task in self._running:
            task.cancel()
        await self.settle(1.0)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task_failed", task=self._name, exc_info=error)
