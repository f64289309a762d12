"""The blocking twin: the same namespaces and methods, run in an event loop of its own in a background thread."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from millrace.batches import JobBatch
from millrace.circuits import Circuits
from millrace.dead_letters import DeadLetters
from millrace.endings import Endings
from millrace.job_function import JobFunction
from millrace.jobs import JobQueue
from millrace.notifications import Notifications
from millrace.progress import ProgressTracker
from millrace.queues import Queues
from millrace.schedules import Schedules
from millrace.subscriptions import Subscriptions
from millrace.templates import Templates

if TYPE_CHECKING:
    from millrace.client import Millrace

T = TypeVar("T")
WRAPPED = (
    Notifications,
    Templates,
    JobQueue,
    JobBatch,
    DeadLetters,
    Queues,
    Circuits,
    ProgressTracker,
    Schedules,
    Subscriptions,
    Endings,
    JobFunction,
)


class Portal:
    """An event loop in a thread, into which other threads hand coroutines. Starts with the first one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs `work` to its end. It sees the context variables of the calling thread.

        Interrupting the caller cancels the work.
        """
        future = asyncio.run_coroutine_threadsafe(work, self._started())
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        """Ends the thread; the portal starts anew when it is used again."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="millrace-sync", daemon=True)
                self._thread.start()
            return self._loop


class Blocking:
    """Any object of the asynchronous client: coroutines block, asynchronous iterators become plain ones."""

    def __init__(self, target: Any, portal: Portal) -> None:
        self._target = target
        self._portal = portal

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if isinstance(value, WRAPPED) or not callable(value):
            return self._wrapped(value)
        return lambda *args, **kwargs: self._wrapped(value(*args, **kwargs))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._target(*args, **kwargs)

    def __enter__(self) -> Self:
        """Enters what the asynchronous client enters by `async with`: a batch, a progress.

        Raises:
            TypeError: there is nothing to enter.
        """
        enter = getattr(type(self._target), "__aenter__", None)
        if enter is None:
            raise TypeError(f"{type(self._target).__name__} has nothing to enter")
        self._portal.run(enter(self._target))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._portal.run(self._target.__aexit__(kind, error, traceback))

    def _wrapped(self, value: Any) -> Any:
        if inspect.iscoroutine(value):
            return self._portal.run(value)
        if isinstance(value, AsyncIterator):
            return self._iterate(value)
        if isinstance(value, WRAPPED):
            return Blocking(value, self._portal)
        if inspect.isfunction(value):
            # A decorator: what it makes of the function blocks too.
            return lambda *args, **kwargs: self._wrapped(value(*args, **kwargs))
        return value

    def _iterate(self, source: AsyncIterator[T]) -> Iterator[T]:
        async def following() -> T:
            return await anext(source)

        while True:
            try:
                yield self._portal.run(following())
            except StopAsyncIteration:
                return


class SyncMillrace(Blocking):
    """A `Millrace` for Django, Flask and scripts: `app.sync().jobs.enqueue("send", {"to": "…"})`.

    Any number of threads may share it. It has a connection of its own, given up by `close` or at the end of a `with`.
    """

    def __init__(self, app: Millrace) -> None:
        super().__init__(app.twin(), Portal())

    def close(self) -> None:
        """Gives up the connection and the thread."""
        self._portal.run(self._target.close())
        self._portal.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
