"""Which deliveries are due: looks into the indexes of the read model, by the database's clock."""

from __future__ import annotations

import asyncpg

from adapters.postgres.errors import translated
from domain.deliveries import DueDelivery, DueSnooze

NEXT_IN = """
SELECT extract(epoch FROM least((SELECT min(due_at) FROM notification_deliveries WHERE due_at IS NOT NULL),
                                (SELECT min(snoozed_until) FROM notifications WHERE snoozed_until IS NOT NULL))
                          - statement_timestamp())::float8
"""
# One step of a loose scan for each channel, however many deliveries wait.
CHANNELS = """
WITH RECURSIVE named (channel) AS (
    SELECT min(channel) FROM notification_deliveries WHERE due_at IS NOT NULL
    UNION ALL
    SELECT (SELECT min(channel) FROM notification_deliveries d WHERE d.due_at IS NOT NULL AND d.channel > named.channel)
      FROM named WHERE named.channel IS NOT NULL
)
SELECT channel FROM named WHERE EXISTS (SELECT FROM notification_deliveries d
       WHERE d.channel = named.channel AND d.due_at <= statement_timestamp())
"""
COLUMNS = """d.tenant, d.notification_id, d.channel, d.user_id, d.status, d.attempts, d.position, d.throttle_key,
       d.digest_key, d.is_digest"""
DUE = f"""
SELECT {COLUMNS} FROM notification_deliveries d
 WHERE d.channel = $1 AND d.due_at <= statement_timestamp() ORDER BY d.due_at, d.position LIMIT $2
"""
DEFERRED = f"""
SELECT {COLUMNS} FROM notification_deliveries d
 WHERE d.tenant = $1 AND d.user_id = $2 AND d.channel = $3 AND d.due_at IS NOT NULL AND d.status = 'deferred'
   AND (d.due_at <= statement_timestamp() OR d.digest_key = $4)
   AND NOT EXISTS (SELECT FROM notification_deliveries o WHERE o.tenant = $1 AND o.user_id = $2 AND o.channel = $3
                      AND o.due_at IS NOT NULL AND o.is_digest AND o.attempts = 0)
 ORDER BY d.position LIMIT $5
"""
SENT_SINCE = """
SELECT count(*) FROM notification_deliveries
 WHERE tenant = $1 AND user_id = $2 AND channel = $3 AND throttle_key = $4
   AND sent_at > statement_timestamp() - make_interval(secs => $5)
"""
SNOOZES = """
SELECT tenant, id AS notification_id, snoozed_until AS until FROM notifications
 WHERE snoozed_until <= statement_timestamp() ORDER BY snoozed_until LIMIT $1
"""


class PostgresDueDeliveries:
    """Implements `domain.deliveries.DueDeliveries`."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    @translated
    async def next_in(self) -> float | None:
        seconds: float | None = await self._pool.fetchval(NEXT_IN)
        return seconds

    @translated
    async def channels(self) -> list[str]:
        return [row["channel"] for row in await self._pool.fetch(CHANNELS)]

    @translated
    async def due(self, channel: str, limit: int) -> list[DueDelivery]:
        return [DueDelivery(**row) for row in await self._pool.fetch(DUE, channel, limit)]

    @translated
    async def deferred(self, lane: tuple[str, str, str], digest_key: str | None, limit: int) -> list[DueDelivery]:
        return [DueDelivery(**row) for row in await self._pool.fetch(DEFERRED, *lane, digest_key, limit)]

    @translated
    async def sent_since(self, lane: tuple[str, str, str], throttle_key: str, seconds: float) -> int:
        return int(await self._pool.fetchval(SENT_SINCE, *lane, throttle_key, seconds))

    @translated
    async def snoozes(self, limit: int) -> list[DueSnooze]:
        return [DueSnooze(**row) for row in await self._pool.fetch(SNOOZES, limit)]
