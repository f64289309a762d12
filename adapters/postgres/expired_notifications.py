"""Finds notifications in the read model that have been kept long enough."""

from __future__ import annotations

import asyncpg

from adapters.postgres.errors import translated

# What is still to be sent stays, however old it is.
EXPIRED = """
(SELECT tenant, id FROM notifications WHERE read_at < statement_timestamp() - make_interval(secs => $1)
  ORDER BY read_at LIMIT $3)
UNION ALL
(SELECT tenant, id FROM notifications n
  WHERE read_at IS NULL AND created_at < statement_timestamp() - make_interval(secs => $2) AND snoozed_until IS NULL
    AND NOT EXISTS (SELECT FROM notification_deliveries d
                     WHERE d.tenant = n.tenant AND d.notification_id = n.id AND d.due_at IS NOT NULL)
  ORDER BY created_at LIMIT $3)
"""


class PostgresExpiredNotifications:
    """Implements `domain.deliveries.ExpiredNotifications`."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    @translated
    async def find(self, read: float, unread: float, limit: int) -> list[tuple[str, str]]:
        return [(row["tenant"], row["id"]) for row in await self._pool.fetch(EXPIRED, read, unread, limit)]
