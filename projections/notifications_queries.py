"""Questions to the `notifications` read model."""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json

from millrace.contracts.notification import ListNotifications
from projections.projection import Connection

SHOWN = """id, position, user_id, type, title, message, category, action_url, action_label, metadata::text AS metadata,
       channels, critical, locale, template::text AS template, digest_of, created_at AS timestamp, read_at,
       snoozed_until, cancelled"""
ONE = f"SELECT {SHOWN} FROM notifications WHERE tenant = $1 AND id = $2 AND ($3::text IS NULL OR user_id = $3)"
VISIBLE = "in_inbox AND snoozed_until IS NULL AND NOT cancelled"
PAGE = f"""
SELECT {SHOWN} FROM notifications n
 WHERE tenant = $1 AND ($2::text IS NULL OR user_id = $2) AND ($3::bigint IS NULL OR position < $3)
   AND ($4::text IS NULL OR type = $4) AND ($5::text IS NULL OR category = $5)
   AND (NOT $6::boolean OR read_at IS NULL) AND ($7::boolean OR ({VISIBLE}))
   AND ($8::text IS NULL OR EXISTS (SELECT FROM notification_deliveries d
        WHERE d.tenant = n.tenant AND d.notification_id = n.id AND d.status = $8))
 ORDER BY position DESC LIMIT $9
"""
DELIVERIES = """
SELECT notification_id, channel, status, reason, detail, due_at, attempts, provider, provider_message_id, delivery_id,
       updated_at
  FROM notification_deliveries WHERE tenant = $1 AND notification_id = ANY ($2::text[]) ORDER BY channel
"""
UNREAD = f"SELECT count(*) FROM notifications WHERE tenant = $1 AND user_id = $2 AND {VISIBLE} AND read_at IS NULL"
INBOX = """
SELECT preferences::text AS preferences, contacts::text AS contacts, locale, timezone FROM inboxes
 WHERE tenant = $1 AND user_id = $2
"""


async def one_notification(connection: Connection, tenant: str, id: str, user_id: str | None) -> dict[str, Any] | None:
    """A notification with its deliveries, or None where there is none of this user."""
    row = await connection.fetchrow(ONE, tenant, id, user_id)
    return None if row is None else (await _with_deliveries(connection, tenant, [dict(row)]))[0]


async def listed_notifications(
    connection: Connection, tenant: str, query: ListNotifications, before: int | None
) -> tuple[list[dict[str, Any]], int | None]:
    """A page of notifications, newest first, and the position to continue before, None on the last page."""
    rows = await connection.fetch(
        PAGE, tenant, query.user_id, before, query.type, query.category, query.unread_only, query.scope == "all",
        query.status, query.limit + 1,
    )  # fmt: skip
    page = [dict(row) for row in rows[: query.limit]]
    following = page[-1]["position"] if len(rows) > query.limit else None
    return await _with_deliveries(connection, tenant, page), following


async def unread_count(connection: Connection, tenant: str, user_id: str) -> int:
    """How many unread notifications the user's inbox shows."""
    return int(await connection.fetchval(UNREAD, tenant, user_id))


async def inbox_of(connection: Connection, tenant: str, user_id: str) -> dict[str, Any]:
    """What the user has said; empty for one who has said nothing."""
    row = await connection.fetchrow(INBOX, tenant, user_id)
    if row is None:
        return {"preferences": {}, "contacts": {}, "locale": None, "timezone": None}
    return {**row, "preferences": from_json(row["preferences"]), "contacts": from_json(row["contacts"])}


async def _with_deliveries(connection: Connection, tenant: str, page: list[dict[str, Any]]) -> list[dict[str, Any]]:
    deliveries: dict[str, list[dict[str, Any]]] = {row["id"]: [] for row in page}
    for row in await connection.fetch(DELIVERIES, tenant, list(deliveries)) if page else ():
        told = dict(row)
        deliveries[told.pop("notification_id")].append(told)
    return [
        {name: value for name, value in row.items() if name != "position"}
        | {
            "read": row["read_at"] is not None,
            "metadata": from_json(row["metadata"]),
            "template": None if row["template"] is None else from_json(row["template"]),
            "deliveries": deliveries[row["id"]],
        }
        for row in page
    ]
