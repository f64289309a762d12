"""Raises in the middle of a coroutine, where it waits: the soft time limit of a handler."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any

from millrace.errors import SoftTimeout

# The message of the cancellation that stands for the soft limit; asyncio hands it on to where the coroutine waits.
SOFT = "millrace: the soft time limit"


class SoftLimited:
    """A coroutine in which `interrupt` raises `SoftTimeout`; every other cancellation stays one."""

    def __init__(self, work: Coroutine[Any, Any, Any], seconds: float) -> None:
        self._work, self._seconds = work, seconds

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._work.__await__()
        error: BaseException | None = None
        while True:
            try:
                waited = next(steps) if error is None else steps.throw(error)
            except StopIteration as end:
                return end.value
            error = None
            try:
                yield waited
            except asyncio.CancelledError as cancelled:
                error = self._meant(cancelled)
            except BaseException as raised:
                error = raised

    def _meant(self, cancelled: asyncio.CancelledError) -> BaseException:
        if cancelled.args[:1] != (SOFT,):
            return cancelled
        task = asyncio.current_task()
        if task is not None:
            # It is no cancellation any more, for whoever counts them further down.
            task.uncancel()
        return SoftTimeout(f"the attempt has taken longer than its soft limit of {self._seconds:g} s")


def interrupt(task: asyncio.Task[Any]) -> None:
    """Has what is being waited for in the task end with `SoftTimeout`."""
    task.cancel(SOFT)
