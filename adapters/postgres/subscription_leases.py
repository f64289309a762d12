"""Which worker delivers a subscription, and until when."""

from __future__ import annotations

from datetime import timedelta

import asyncpg

from adapters.postgres.errors import translated
from domain.ports import StreamName, SubscriptionHold

# Who waits for the row's lock judges the lease by the time at which it got it.
TAKE = """
WITH known AS (
    SELECT originator_id FROM stored_events WHERE originator_id = $1 AND originator_version = 1),
taken AS (
    INSERT INTO subscription_leases AS l (tenant, name, worker, expires_at)
    SELECT $2, $3, $4, clock_timestamp() + $5 FROM known
    ON CONFLICT (tenant, name) DO UPDATE SET worker = excluded.worker, expires_at = excluded.expires_at
     WHERE l.worker = excluded.worker OR l.expires_at <= clock_timestamp()
    RETURNING l.worker)
SELECT CASE WHEN EXISTS (SELECT FROM taken) THEN 'held' WHEN EXISTS (SELECT FROM known) THEN 'taken' ELSE 'unknown' END
"""
RELEASE = "DELETE FROM subscription_leases WHERE tenant = $1 AND name = $2 AND worker = $3"


class PostgresSubscriptionLeases:
    """Implements `domain.ports.SubscriptionLeases` on the table `subscription_leases`."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    @translated
    async def take(self, tenant: str, name: str, worker: str, seconds: float) -> SubscriptionHold:
        stream = StreamName("subscription", tenant, name).text
        hold: SubscriptionHold = await self._pool.fetchval(
            TAKE, stream, tenant, name, worker, timedelta(seconds=seconds)
        )
        return hold

    @translated
    async def release(self, tenant: str, name: str, worker: str) -> None:
        await self._pool.execute(RELEASE, tenant, name, worker)
