"""Who is connected to the live feed, as rows with leases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import asyncpg

from adapters.postgres.errors import translated
from domain.presence import Connected, Present

RENEW = """
INSERT INTO presence (connection, tenant, client_id, expires_at)
SELECT connection, tenant, client_id, clock_timestamp() + $4
  FROM unnest($1::uuid[], $2::text[], $3::text[]) AS c(connection, tenant, client_id)
ON CONFLICT (connection) DO UPDATE SET expires_at = excluded.expires_at
"""
REMOVE = "DELETE FROM presence WHERE connection = ANY ($1::uuid[]) OR expires_at < clock_timestamp()"
PRESENT = """
SELECT t.tenant, p.client_id, p.since
  FROM unnest($1::text[]) AS t(tenant)
 CROSS JOIN LATERAL (
       SELECT client_id, min(joined_at) AS since FROM presence
        WHERE tenant = t.tenant AND expires_at > clock_timestamp()
        GROUP BY client_id ORDER BY client_id LIMIT $2) AS p
"""


class PostgresPresence:
    """Implements `domain.presence.PresenceTable` on the table `presence`."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    @translated
    async def renew(self, connections: Sequence[Connected], seconds: float) -> None:
        await self._pool.execute(RENEW, *zip(*connections, strict=True), timedelta(seconds=seconds))

    @translated
    async def remove(self, connections: Sequence[UUID]) -> None:
        await self._pool.execute(REMOVE, list(connections))

    @translated
    async def present(self, tenants: Sequence[str], limit: int) -> dict[str, list[Present]]:
        found: dict[str, list[Present]] = {tenant: [] for tenant in tenants}
        for row in await self._pool.fetch(PRESENT, list(tenants), limit):
            found[row["tenant"]].append(Present(row["client_id"], row["since"]))
        return found
