"""Keeps a session with the broker running: starts it again, with jittered backoff, until it is told to stop."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import structlog
from aio_pika.exceptions import AMQPError

from adapters.amqp.calls import abandon
from adapters.amqp.errors import BrokerUnavailable, TopologyMismatch

log = structlog.get_logger(__name__)

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 3.0


def pause_after(failures: int) -> float:
    """Seconds to wait after the given number of failures in a row; jittered so that processes do not come in herds."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures, 10)) * random.uniform(0.5, 1.0)


class Supervised:
    """Runs `session` again whenever it ends.

    A session calls the function it is given once it is in full working order, and returns or raises when it no longer
    is. It runs in a task of its own: the client library cancels what it rejects, and that must end the session only.
    """

    def __init__(self, name: str, session: Callable[[Callable[[], None]], Awaitable[None]]) -> None:
        self._name, self._session = name, session
        self._up = False
        self._task: asyncio.Task[None] | None = None
        self._problem: str | None = "not started"

    @property
    def up(self) -> bool:
        return self._up

    @property
    def problem(self) -> str | None:
        """Why the session is not up, for people; None while it is."""
        return self._problem

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._keep_running(), name=self._name)

    async def stop(self, seconds: float = 5.0) -> None:
        """Ends the session; returns after `seconds` at the latest, whatever the broker does."""
        task, self._task = self._task, None
        self._up, self._problem = False, "stopped"
        if task is not None:
            task.cancel()
            await asyncio.wait({task}, timeout=seconds)
            if not task.done():
                abandon(task)

    def _established(self) -> None:
        self._problem = None
        self._up = True

    async def _keep_running(self) -> None:
        failures = 0
        while True:
            await self._run_once()
            failures = 0 if self._up else failures + 1
            self._up = False
            await asyncio.sleep(pause_after(failures))

    async def _run_once(self) -> None:
        session = asyncio.ensure_future(self._session(self._established))
        try:
            await asyncio.wait({session})
        except asyncio.CancelledError:
            session.cancel()
            await asyncio.wait({session})
            raise
        error = None if session.cancelled() else session.exception()
        problem = "the connection to the broker was lost" if error is None else str(error) or type(error).__name__
        if problem != self._problem:
            expected = error is None or isinstance(error, BrokerUnavailable | TopologyMismatch | AMQPError | OSError)
            trace = None if expected else error
            log.warning("broker_session_ended", session=self._name, problem=problem, exc_info=trace)
        self._problem = problem
