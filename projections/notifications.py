"""The `notifications` read model: inboxes, what became of each channel, and what is due to be sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic_core import to_json

from domain import inbox, template
from domain import notification_events as events
from domain.notification import KIND
from domain.ports import RecordedEvent
from projections.notifications_schema import CREATE, TABLES
from projections.projection import Connection, events_of
from projections.tables import VersionedTables

STEP = """
INSERT INTO {table} (tenant, notification_id, channel, user_id, position, throttle_key, digest_key, is_digest, status,
                     reason, detail, due_at, delivery_id, updated_at, sent_at)
SELECT tenant, id, $3, user_id, position, $4, $5, digest_of <> '{{}}', $6, $7, $8, $9, $10, $11, $12
  FROM {notifications} WHERE tenant = $1 AND id = $2
ON CONFLICT (tenant, notification_id, channel) DO UPDATE
   SET status = excluded.status, reason = excluded.reason, detail = excluded.detail, due_at = excluded.due_at,
       delivery_id = coalesce(excluded.delivery_id, {table}.delivery_id), updated_at = excluded.updated_at,
       sent_at = coalesce(excluded.sent_at, {table}.sent_at)
"""


class NotificationsProjection(VersionedTables):
    """Implements `projections.projection.Projection`."""

    name = "notifications"
    kinds = frozenset({KIND, inbox.KIND, template.KIND})
    views: tuple[str, ...] = TABLES
    definition = CREATE

    async def apply(self, connection: Connection, version: int, events: Sequence[RecordedEvent]) -> None:
        own = [recorded for kind in self.kinds for recorded in events_of(kind, events)]
        for recorded in sorted(own, key=lambda event: event.position):
            if recorded.stream.kind == KIND:
                await _Row(connection, version, recorded).write()
            elif recorded.stream.kind == inbox.KIND:
                await _write_inbox(connection, version, recorded)
            else:
                await _write_template(connection, version, recorded)


class _Row:
    """One event of a notification, on its way into the rows."""

    def __init__(self, connection: Connection, version: int, recorded: RecordedEvent) -> None:
        self._connection, self._recorded = connection, recorded
        self._key = (recorded.stream.tenant, recorded.stream.id)
        self._notifications, self._deliveries = f"notifications_v{version}", f"notification_deliveries_v{version}"

    async def write(self) -> None:
        at = self._recorded.event.timestamp
        match self._recorded.event:
            case events.Created() as event:
                await self._insert(event)
            case events.Queued() as event:
                await self._step(event.channel, "queued", due_at=at, delivery_id=event.delivery_id)
            case events.Deferred() as event:
                await self._step(
                    event.channel, "deferred", event.reason, due_at=event.until, delivery_id=event.delivery_id
                )
            case events.Suppressed() as event:
                await self._step(event.channel, "suppressed", event.reason, event.detail)
            case events.Delivered() as event:
                await self._step(event.channel, "delivered")
            case events.Sent() as event:
                await self._step(event.channel, "sent", None, event.detail, sent_at=at)
                await self._tried(event.channel, event.attempt, event.provider, event.provider_message_id)
            case events.HandedOver() as event:
                await self._step(event.channel, "queued", events.HANDED_OVER, due_at=event.until)
            case events.AttemptFailed() as event:
                await self._step(event.channel, "queued", "attempt-failed", event.reason, due_at=event.retry_at)
                await self._tried(event.channel, event.attempt, event.provider)
            case events.Failed() as event:
                await self._step(event.channel, "failed", event.reason, event.detail)
                await self._tried(event.channel, event.attempt, event.provider)
            case events.Read():
                # Read with the whole inbox it has its time already.
                await self._set("read_at = coalesce(read_at, $3)", at)
            case events.Cancelled():
                await self._set("cancelled = true, snoozed_until = NULL")
            case events.Snoozed() as event:
                await self._set("snoozed_until = $3", event.until)
            case events.Woken():
                await self._set("snoozed_until = NULL, read_at = NULL")
            case events.Removed():
                await self._connection.execute(
                    f"DELETE FROM {self._deliveries} WHERE tenant = $1 AND notification_id = $2", *self._key
                )
                await self._connection.execute(
                    f"DELETE FROM {self._notifications} WHERE tenant = $1 AND id = $2", *self._key
                )
            case _:
                return

    async def _insert(self, event: events.Created) -> None:
        row = {
            "tenant": self._key[0],
            "id": self._key[1],
            "position": self._recorded.position,
            "company": self._recorded.metadata.company,
            "user_id": event.user_id,
            "type": event.type,
            "title": event.title,
            "message": event.message,
            "html": event.html,
            "category": event.category,
            "action_url": event.action_url,
            "action_label": event.action_label,
            "metadata": to_json(event.metadata).decode(),
            "channels": event.channels,
            "critical": event.critical,
            "in_inbox": event.in_inbox,
            "locale": event.locale,
            "template": None if event.template is None else to_json(event.template).decode(),
            "digest_of": event.digest_of,
            "created_at": event.timestamp,
        }
        places = ", ".join(f"${place}" for place in range(1, len(row) + 1))
        await self._connection.execute(
            f"INSERT INTO {self._notifications} ({', '.join(row)}) VALUES ({places})", *row.values()
        )
        for channel in event.channels:
            # What the keys are is known here only; the channel's own event follows at once.
            await self._step(
                channel, "queued",
                throttle_key=None if event.throttle is None else event.throttle["key"],
                digest_key=None if event.digest is None else event.digest["key"],
            )  # fmt: skip

    async def _step(
        self,
        channel: str,
        status: str,
        reason: str | None = None,
        detail: str | None = None,
        *,
        due_at: Any = None,
        delivery_id: str | None = None,
        sent_at: Any = None,
        throttle_key: str | None = None,
        digest_key: str | None = None,
    ) -> None:
        await self._connection.execute(
            STEP.format(table=self._deliveries, notifications=self._notifications),
            *self._key, channel, throttle_key, digest_key, status, reason, detail, due_at, delivery_id,
            self._recorded.event.timestamp, sent_at,
        )  # fmt: skip

    async def _tried(self, channel: str, attempts: int, provider: str, message_id: str | None = None) -> None:
        await self._connection.execute(
            f"UPDATE {self._deliveries} SET attempts = $4, provider = $5, provider_message_id = $6"
            " WHERE tenant = $1 AND notification_id = $2 AND channel = $3",
            *self._key, channel, attempts, provider, message_id,
        )  # fmt: skip

    async def _set(self, changes: str, *values: Any) -> None:
        await self._connection.execute(
            f"UPDATE {self._notifications} SET {changes} WHERE tenant = $1 AND id = $2", *self._key, *values
        )


async def _write_inbox(connection: Connection, version: int, recorded: RecordedEvent) -> None:
    key = (recorded.stream.tenant, recorded.stream.id)
    table = f"inboxes_v{version}"
    await connection.execute(
        f"INSERT INTO {table} (tenant, user_id, preferences, contacts) VALUES ($1, $2, '{{}}', '{{}}')"
        " ON CONFLICT DO NOTHING",
        *key,
    )
    where = "WHERE tenant = $1 AND user_id = $2"
    match recorded.event:
        case inbox.PreferencesSet() as event:
            names = ("channels", "categories", "quiet_hours", "matrix")
            preferences = to_json({name: getattr(event, name) for name in names}).decode()
            await connection.execute(f"UPDATE {table} SET preferences = $3 {where}", *key, preferences)
        case inbox.ContactsSet() as event:
            await connection.execute(
                f"UPDATE {table} SET contacts = $3, locale = $4, timezone = $5 {where}",
                *key, to_json(event.contacts).decode(), event.locale, event.timezone,
            )  # fmt: skip
        case inbox.AllRead() as event:
            # What comes later in the log is not there yet, in a rebuild as in the first run.
            await connection.execute(
                f"UPDATE notifications_v{version} SET read_at = $3"
                f" {where} AND in_inbox AND read_at IS NULL AND snoozed_until IS NULL AND NOT cancelled",
                *key,
                event.timestamp,
            )
        case _:
            return


async def _write_template(connection: Connection, version: int, recorded: RecordedEvent) -> None:
    key = (recorded.stream.tenant, recorded.stream.id)
    table = f"templates_v{version}"
    match recorded.event:
        case template.Saved() as event:
            await connection.execute(
                f"INSERT INTO {table} (tenant, name, version, locales, updated_at) VALUES ($1, $2, $3, ARRAY[$4], $5)"
                " ON CONFLICT (tenant, name) DO UPDATE SET version = $3, updated_at = $5,"
                f" locales = ARRAY(SELECT DISTINCT unnest({table}.locales || $4::text) ORDER BY 1)",
                *key, event.version, event.locale, event.timestamp,
            )  # fmt: skip
        case template.Removed():
            await connection.execute(f"DELETE FROM {table} WHERE tenant = $1 AND name = $2", *key)
        case _:
            return
