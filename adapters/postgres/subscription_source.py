"""What the feeder of subscription queues needs from the store."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from adapters.amqp.feeder import QueueSubscription
from adapters.postgres.errors import translated
from domain.ports import EventStore, RecordedEvent

ACTIVE = """
SELECT s.tenant, s.name, s.pattern, s.position AS acknowledged, f.position AS filled
  FROM subscriptions s LEFT JOIN queue_fill f ON f.tenant = s.tenant AND f.name = s.name
 WHERE s.delivery = 'queue' AND s.is_active ORDER BY s.priority DESC, s.tenant, s.name
"""
SAVE = """
INSERT INTO queue_fill (tenant, name, position) VALUES ($1, $2, $3)
ON CONFLICT (tenant, name) DO UPDATE SET position = excluded.position
"""


class PostgresSubscriptionSource:
    """Implements `adapters.amqp.feeder.SubscriptionSource`."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], store: EventStore) -> None:
        self._pool, self._store = pool, store

    @translated
    async def queue_subscriptions(self) -> Sequence[QueueSubscription]:
        return [QueueSubscription(**row) for row in await self._pool.fetch(ACTIVE)]

    @translated
    async def save_filled(self, tenant: str, name: str, position: int) -> None:
        await self._pool.execute(SAVE, tenant, name, position)

    async def read(self, after: int, limit: int) -> list[RecordedEvent]:
        return await self._store.read(after, limit)
