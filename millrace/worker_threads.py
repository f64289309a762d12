"""Threads for plain handlers. They are daemons: one that never ends does not keep the process from ending."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable
from typing import Any

Work = tuple[contextvars.Context, Callable[..., Any], dict[str, Any], asyncio.Future[Any], asyncio.AbstractEventLoop]


class Threads:
    """As many threads as there was ever work at the same time; the caller bounds that."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._count = 0
        self._busy = 0

    def run(self, function: Callable[..., Any], arguments: dict[str, Any]) -> asyncio.Future[Any]:
        """Calls `function(**arguments)` in a thread, with a copy of the caller's context variables."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[Any] = loop.create_future()
        self._busy += 1
        if self._busy > self._count:
            self._count += 1
            threading.Thread(target=self._serve, name=f"millrace-{self._count}", daemon=True).start()
        self._work.put((contextvars.copy_context(), function, arguments, result, loop))
        return result

    def close(self) -> None:
        """Ends the threads that have nothing to do, and the others when they are done."""
        for _ in range(self._count):
            self._work.put(None)

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            context, function, arguments, result, loop = work
            value: Any = None
            error: BaseException | None = None
            try:
                value = context.run(function, **arguments)
            except BaseException as raised:
                # Whatever it is, it ends the attempt and not the thread.
                error = raised
            try:
                loop.call_soon_threadsafe(self._deliver, result, value, error)
            except RuntimeError:
                # The loop was closed before the handler ended: nobody waits for it any more.
                return

    def _deliver(self, result: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
        self._busy -= 1
        if result.done():
            return
        if isinstance(error, StopIteration):
            # A future does not take this one.
            error = RuntimeError(f"the handler raised {error!r}")
        if error is None:
            result.set_result(value)
        else:
            result.set_exception(error)
