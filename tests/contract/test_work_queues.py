"""The work queue on PostgreSQL keeps the contract of its port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from adapters.contracts.work_queue import QueueBench, WorkQueueContract
from domain.ports import EventStore, WorkQueue
from infra.settings_jobs import Leases
from tests.support.stores import storing


class Trusting:
    """A queue that believes every worker that it still has what it renews."""

    def __init__(self, queue: WorkQueue) -> None:
        self._queue = queue

    async def renew(self, *attempts: Any) -> list[tuple[str, int]]:
        await self._queue.renew(*attempts)
        return []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)


@dataclass
class OfTrusting:
    queue: Any
    store: EventStore


class TestPostgresWorkQueue(WorkQueueContract):
    @pytest.fixture
    async def bench(self, fresh_database_url: str) -> AsyncIterator[QueueBench]:
        leases = Leases(duration=2.0, unconfirmed=0.5)
        async with storing(fresh_database_url, leases=leases) as storage:
            yield storage

    async def test_a_queue_that_believes_its_workers_is_caught(self, bench: QueueBench) -> None:
        trusting = OfTrusting(Trusting(bench.queue), bench.store)
        with pytest.raises(AssertionError):
            await WorkQueueContract().test_a_lease_is_renewed_by_who_has_it_alone(trusting)
