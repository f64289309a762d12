"""Finds in the read model what has gone out through a channel."""

from __future__ import annotations

from datetime import datetime

import asyncpg

from adapters.postgres.errors import translated
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.positions import ReaderPositions
from domain.deliveries import SentLane
from projections.notifications import NotificationsProjection

READER = NotificationsProjection.name
# What an inbox shows has no delivery id.
WHERE = """
 WHERE tenant = $1 AND channel = $2 AND ($3::text IS NULL OR user_id = $3) AND updated_at >= $4
   AND position > $5 AND position <= $6 AND status IN ('sent', 'delivered', 'failed') AND delivery_id IS NOT NULL
"""
FIND = f"SELECT notification_id, position FROM notification_deliveries {WHERE} ORDER BY position LIMIT $7"
COUNT = f"SELECT count(*) FROM notification_deliveries {WHERE}"


class PostgresSentNotifications:
    """Implements `domain.deliveries.SentNotifications`."""

    def __init__(
        self, pool: asyncpg.Pool[asyncpg.Record], store: PostgresEventStore, positions: ReaderPositions
    ) -> None:
        self._pool, self._store, self._positions = pool, store, positions

    @translated
    async def newest(self) -> int:
        return await self._positions.reached_head(READER, self._store)

    @translated
    async def find(self, lane: SentLane, since: datetime, after: int, until: int, limit: int) -> list[tuple[str, int]]:
        rows = await self._pool.fetch(FIND, *lane, since, after, until, limit)
        return [(row["notification_id"], row["position"]) for row in rows]

    @translated
    async def count(self, lane: SentLane, since: datetime, after: int, until: int) -> int:
        return int(await self._pool.fetchval(COUNT, *lane, since, after, until))
