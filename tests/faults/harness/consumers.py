"""Everybody who consumes a run's events: followers, queues, a durable subscription, and a forger of late reports."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any

from tests.faults.harness.checkers import Event
from tests.faults.harness.forger import Forger
from tests.faults.harness.history import History
from tests.faults.harness.observers import RELAY_QUEUE, Follower, Prober, QueueReader, Scales, delivered
from tests.faults.harness.stack import Stack
from tests.faults.harness.traces import Trace
from tests.faults.harness.waiting import until
from tests.faults.harness.workload import TENANTS

QUEUE_TENANT = TENANTS[1]
DURABLE_TENANT = TENANTS[0]
FORGERS = 8


class Consumers:
    """Prepared before the services start, started after them, closed before they are.

    Args:
        wiped: the broker's data is deleted in this run, and with it what waited in queues that nobody fills again.
    """

    def __init__(self, stack: Stack, history: History, *, wiped: bool) -> None:
        self._stack, self._history, self._wiped = stack, history, wiped
        self.forger = Forger(history)
        self._followers: list[Follower] = []
        self._queues: list[QueueReader] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def prepare(self) -> None:
        """Binds the queue of all events, so that it misses none."""
        url = self._stack.broker_url
        if url is None:
            return
        relay = Trace("queue of all events", None, whole=not self._wiped, ordered=False)
        queue = Trace("subscription's queue", QUEUE_TENANT)
        self._queues = [
            QueueReader(url, RELAY_QUEUE, relay, bind=True),
            QueueReader(url, f"millrace.sub.{QUEUE_TENANT}.faults-queue", queue, bind=False),
        ]
        await self._queues[0].prepare()

    async def start(self) -> None:
        """Everybody consumes, late reports are forged, every service that takes requests is probed, all are weighed."""
        stack, doors = self._stack, self._stack.doors
        if self._queues:
            await stack.clients["http-1", QUEUE_TENANT].subscriptions.create(
                "faults-queue", "#", delivery="queue", start="beginning"
            )
        for number, tenant in enumerate(TENANTS):
            client = stack.clients[doors[number % len(doors)], tenant]
            self._followers.append(Follower(client, tenant, f"follower of {tenant}", self.forger))
        self._run(*(follower.run() for follower in self._followers), *(reader.run() for reader in self._queues))
        self._run(*(self.forger.run() for _ in range(FORGERS)))
        self._run(Scales([*stack.services, *stack.workers, *stack.subscribers], self._history).run())
        for service in stack.apis:
            self._run(Prober(service.url, service.name, self._history, lambda s=service: s.running).run())  # type: ignore[misc]

    async def close(self) -> None:
        """Nobody consumes any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def ended(self) -> set[str]:
        """The jobs whose end was seen."""
        return set().union(*(follower.ended for follower in self._followers))

    def count_ended(self) -> int:
        """How many jobs' ends were seen."""
        return sum(len(follower.ended) for follower in self._followers)

    async def traces_up_to(self, log: Sequence[Event], patience: float) -> list[Trace]:
        """The traces once they hold what the log holds, or as they are after a deadline, without what came later.

        Args:
            patience: seconds that everybody gets to catch up.
        """

        async def caught_up() -> bool:
            await asyncio.sleep(0.2)
            return all(trace.holds(log) for trace in self._traces())

        with suppress(TimeoutError):
            await until(caught_up, patience, "every consumer has caught up")
        traces = self._traces()
        for trace in traces:
            trace.cut(log)
        return traces

    def _traces(self) -> list[Trace]:
        traces = [follower.trace for follower in self._followers] + [reader.trace for reader in self._queues]
        if self._stack.plan.subscriber:
            file = self._stack.seen(DURABLE_TENANT)
            traces.append(delivered(file, Trace("durable subscription", DURABLE_TENANT)))
        return traces

    def _run(self, *work: Coroutine[Any, Any, None]) -> None:
        self._tasks += [asyncio.create_task(each) for each in work]
