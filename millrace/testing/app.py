"""The application that tests use: `Millrace` with its service in memory, and a worker that runs when it is told to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar

from millrace.client import Millrace
from millrace.contracts.job import Job
from millrace.contracts.wire import DEFAULT_TENANT
from millrace.registry import Registry
from millrace.serializers import Serializer
from millrace.settings import Settings
from millrace.testing.clock import VirtualClock
from millrace.testing.deliveries import Deliveries
from millrace.testing.memory import InMemory
from millrace.testing.running import MAX_RUNS, Running
from millrace.testing.transport import MemoryTransport

F = TypeVar("F", bound=Callable[..., Any])


class MillraceTest(Millrace):
    """An application with everything in memory: no server, no files, no time that passes by itself.

    Args:
        memory: the service, to share it with other applications; default one of its own.
        registry: handlers that exist already.
        start: where the clock of a service of its own begins; default now.
        serializer: as for `Millrace`.

    Attributes:
        clock: `clock.advance(seconds)` moves the time of the service.
        memory: the service.
    """

    def __init__(
        self,
        *,
        tenant: str = DEFAULT_TENANT,
        company: str | None = None,
        actor: str | None = None,
        memory: InMemory | None = None,
        registry: Registry | None = None,
        start: datetime | None = None,
        serializer: Serializer | str = "json",
    ) -> None:
        self.memory = memory or InMemory(VirtualClock(start))
        self.clock = self.memory.clock
        super().__init__(
            "memory://",
            tenant=tenant,
            company=company,
            actor=actor,
            transport=self._transport,
            serializer=serializer,
        )
        self.registry = registry or self.registry
        self._deliveries = Deliveries(self)
        self._deliveries.declare()

    @property
    def outbox(self) -> list[dict[str, Any]]:
        """What notifications have sent by mail, push and the like, oldest first; the inbox is none of it."""
        return [sent for sent in self.memory.deliveries.outbox if sent["tenant"] == self.settings.tenant]

    def on(
        self, pattern: str, *, name: str | None = None, priority: int = 5, max_attempts: int = 5, start: str = "head"
    ) -> Callable[[F], F]:
        """See `Millrace.on`. The subscription begins at once, as if a worker had been running all along."""
        declare = super().on(pattern, name=name, priority=priority, max_attempts=max_attempts, start=start)

        def declare_now(function: F) -> F:
            declare(function)
            self._deliveries.declare()
            return function

        return declare_now

    async def run_jobs(
        self,
        *,
        advance: float = 0.0,
        queues: Sequence[str] | None = None,
        concurrency: int = 1,
        max_runs: int = MAX_RUNS,
    ) -> list[Job]:
        """Runs all jobs that are due, and what follows from them, until nothing is left to do.

        Jobs run one after another, by priority, then by age, and events are delivered to the application's
        subscriptions. Handlers get the time that they need; the clock stands still meanwhile.

        Args:
            advance: seconds by which the clock is moved; what becomes due on the way runs at its own time.
            queues: only jobs of these; default all.
            concurrency: jobs at the same time, for handlers that wait for other jobs.
            max_runs: attempts and deliveries after which it gives up.

        Returns:
            The jobs of which attempts were run, in the order of their first, as they are now.

        Raises:
            ValueError: `advance` or `concurrency` is too small.
            EndlessWork: there was still work after `max_runs`.
        """
        return await Running(self, self._deliveries, queues, concurrency, max_runs).run(advance)

    def twin(self) -> MillraceTest:
        """Another application with the same settings, handlers and service."""
        twin = MillraceTest(memory=self.memory, registry=self.registry)
        twin.settings = self.settings
        return twin

    def _transport(self, settings: Settings) -> MemoryTransport:
        return MemoryTransport(self.memory)


class MockProgressStorage(MillraceTest):
    """The application in memory, as `ProgressTracker(storage=MockProgressStorage())` takes it in unit tests."""


@asynccontextmanager
async def in_memory(app: Millrace, *, start: datetime | None = None) -> AsyncIterator[MillraceTest]:
    """Puts an application on a service in memory for the duration of the block.

    For an application that a module makes at import, with its handlers: whatever they enqueue or publish goes to the
    yielded application's service too.
    """
    settings = app.settings
    test = MillraceTest(
        tenant=settings.tenant, company=settings.company, actor=settings.actor, registry=app.registry, start=start
    )
    await app.close()
    usual, app._make_transport = app._make_transport, test._transport
    try:
        yield test
    finally:
        await app.close()
        app._make_transport = usual
