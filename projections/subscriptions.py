"""The `subscriptions` read model: who follows what, from where, and which events were set aside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from domain import subscription
from domain.ports import RecordedEvent
from projections.projection import Connection, events_of
from projections.tables import VersionedTables

CREATE = """
CREATE TABLE IF NOT EXISTS subscriptions_v{v} (
    tenant       text    NOT NULL,
    name         text    NOT NULL,
    pattern      text    NOT NULL,
    delivery     text    NOT NULL,
    priority     integer NOT NULL,
    max_attempts integer NOT NULL,
    is_active    boolean NOT NULL DEFAULT true,
    position     bigint  NOT NULL,
    PRIMARY KEY (tenant, name)
);
CREATE TABLE IF NOT EXISTS parked_events_v{v} (
    tenant       text        NOT NULL,
    name         text        NOT NULL,
    event_id     text        NOT NULL,
    position     bigint      NOT NULL,
    error        text        NOT NULL,
    attempts     integer     NOT NULL,
    at           timestamptz NOT NULL,
    PRIMARY KEY (tenant, name, event_id)
);
"""
TABLES = ("subscriptions", "parked_events")
SELECT = "SELECT tenant, name, pattern, delivery, priority, max_attempts, is_active, position FROM subscriptions"
PARKED = """
SELECT event_id, position, error, attempts, at FROM parked_events WHERE tenant = $1 AND name = $2 ORDER BY position
"""


class SubscriptionsProjection(VersionedTables):
    """Implements `projections.projection.Projection`."""

    name = "subscriptions"
    kinds = frozenset({subscription.KIND})
    views: tuple[str, ...] = TABLES
    definition = CREATE

    async def apply(self, connection: Connection, version: int, events: Sequence[RecordedEvent]) -> None:
        for event in events_of(subscription.KIND, events):
            await _write(connection, version, event)


async def _write(connection: Connection, version: int, recorded: RecordedEvent) -> None:
    key = (recorded.stream.tenant, recorded.stream.id)
    table = f"subscriptions_v{version}"
    where = "WHERE tenant = $1 AND name = $2"
    match recorded.event:
        case subscription.Created() as event:
            await connection.execute(
                f"INSERT INTO {table} (tenant, name, pattern, delivery, priority, max_attempts, position)"
                " VALUES ($1, $2, $3, $4, $5, $6, $7)",
                *key,
                event.pattern,
                event.delivery,
                event.priority,
                event.max_attempts,
                event.position,
            )
        case subscription.Changed() as event:
            await connection.execute(
                f"UPDATE {table} SET pattern = $3, delivery = $4, priority = $5, max_attempts = $6 {where}",
                *key,
                event.pattern,
                event.delivery,
                event.priority,
                event.max_attempts,
            )
        case subscription.Advanced() as event:
            await connection.execute(f"UPDATE {table} SET position = $3 {where}", *key, event.position)
        case subscription.Parked() as event:
            await connection.execute(
                f"UPDATE {table} SET position = greatest(position, $3) {where}", *key, event.position
            )
            await connection.execute(
                f"INSERT INTO parked_events_v{version} VALUES ($1, $2, $3, $4, $5, $6, $7)",
                *key,
                event.event_id,
                event.position,
                event.error,
                event.attempts,
                event.timestamp,
            )
        case subscription.Released() as event:
            await connection.execute(
                f"DELETE FROM parked_events_v{version} {where} AND event_id = $3", *key, event.event_id
            )
        case subscription.Activated():
            await connection.execute(f"UPDATE {table} SET is_active = true {where}", *key)
        case subscription.Paused():
            await connection.execute(f"UPDATE {table} SET is_active = false {where}", *key)
        case _:
            return


async def subscriptions(
    connection: Connection, tenant: str | None = None, name: str | None = None
) -> list[dict[str, Any]]:
    """Subscriptions as rows: of one tenant or of all, one by name or all."""
    rows = await connection.fetch(
        f"{SELECT} WHERE ($1::text IS NULL OR tenant = $1) AND ($2::text IS NULL OR name = $2)"
        " ORDER BY priority DESC, name",
        tenant,
        name,
    )
    return [dict(row) for row in rows]


async def parked_events(connection: Connection, tenant: str, name: str) -> list[dict[str, Any]]:
    """The events that a subscription has set aside, oldest first."""
    return [dict(row) for row in await connection.fetch(PARKED, tenant, name)]
