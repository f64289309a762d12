"""Tickets of the live feed, each good once in whichever process it is shown."""

from __future__ import annotations

from datetime import timedelta

import asyncpg

from adapters.postgres.errors import translated
from domain.tickets import Grant

ISSUE = """
WITH old AS (DELETE FROM live_tickets WHERE expires_at < clock_timestamp())
INSERT INTO live_tickets (digest, tenant, principal, user_id, progress_id, expires_at)
VALUES ($1, $2, $3, $4, $5, clock_timestamp() + $6)
"""
REDEEM = """
DELETE FROM live_tickets WHERE digest = $1 AND expires_at > clock_timestamp()
RETURNING tenant, principal, user_id, progress_id
"""


class PostgresTickets:
    """Implements `domain.tickets.Tickets` on the table `live_tickets`."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    @translated
    async def issue(self, digest: bytes, grant: Grant, seconds: float) -> None:
        await self._pool.execute(ISSUE, digest, *grant, timedelta(seconds=seconds))

    @translated
    async def redeem(self, digest: bytes) -> Grant | None:
        row = await self._pool.fetchrow(REDEEM, digest)
        return None if row is None else Grant(*row)
