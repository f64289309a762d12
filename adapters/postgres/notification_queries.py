"""Answers the notification queries from the read model, never older than what the caller has been told."""

from __future__ import annotations

from typing import Any

import asyncpg

from adapters.postgres.errors import translated
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.log_queries import NoSuchAggregate
from adapters.postgres.paging import position_before
from adapters.postgres.positions import ReaderPositions
from domain.inbox import KIND as INBOX
from domain.notification import KIND
from domain.ports import StreamName
from handlers.routes import QueryRoute
from millrace.contracts import inbox as inbox_contract
from millrace.contracts import notification as contract
from millrace.contracts.wire import Context
from projections.notifications_queries import inbox_of, listed_notifications, one_notification, unread_count

READER = "notifications"


class NotificationQueries:
    """Answers the queries about notifications, preferences and contact points."""

    def __init__(
        self, pool: asyncpg.Pool[asyncpg.Record], store: PostgresEventStore, positions: ReaderPositions
    ) -> None:
        self._pool, self._store, self._positions = pool, store, positions

    def routes(self) -> dict[str, QueryRoute]:
        return {
            "notification.get": QueryRoute(contract.GetNotification, self._get, READER),
            "notification.list": QueryRoute(contract.ListNotifications, self._list, READER),
            "notification.unread_count": QueryRoute(contract.CountUnread, self._unread, READER),
            "notification.preferences": QueryRoute(inbox_contract.GetPreferences, self._preferences, READER),
            "notification.contacts": QueryRoute(inbox_contract.GetContacts, self._contacts, READER),
        }

    @translated
    async def _get(self, query: contract.GetNotification, context: Context) -> dict[str, Any]:
        if not await self._caught_up(StreamName(KIND, context.tenant, query.notification_id)):
            raise NoSuchAggregate(KIND, query.notification_id)
        async with self._pool.acquire() as connection:
            found = await one_notification(connection, context.tenant, query.notification_id, query.user_id)
        if found is None:
            raise NoSuchAggregate(KIND, query.notification_id)
        return {"notification": found}

    @translated
    async def _list(self, query: contract.ListNotifications, context: Context) -> dict[str, Any]:
        before = position_before(query.cursor)
        async with self._pool.acquire() as connection:
            page, following = await listed_notifications(connection, context.tenant, query, before)
        return {"notifications": page, "cursor": None if following is None else str(following)}

    @translated
    async def _unread(self, query: contract.CountUnread, context: Context) -> dict[str, Any]:
        async with self._pool.acquire() as connection:
            count = await unread_count(connection, context.tenant, query.user_id)
        return {"user_id": query.user_id, "unread": count}

    @translated
    async def _preferences(self, query: inbox_contract.GetPreferences, context: Context) -> dict[str, Any]:
        return {"user_id": query.user_id, **(await self._inbox(query.user_id, context))["preferences"]}

    @translated
    async def _contacts(self, query: inbox_contract.GetContacts, context: Context) -> dict[str, Any]:
        found = await self._inbox(query.user_id, context)
        return {"user_id": query.user_id, **{name: found[name] for name in ("contacts", "locale", "timezone")}}

    async def _inbox(self, user_id: str, context: Context) -> dict[str, Any]:
        await self._caught_up(StreamName(INBOX, context.tenant, user_id))
        async with self._pool.acquire() as connection:
            return await inbox_of(connection, context.tenant, user_id)

    async def _caught_up(self, stream: StreamName) -> bool:
        """Waits until the read model has the aggregate as it is; false where there is none.

        Raises:
            BehindPosition: it took too long.
        """
        last = await self._store.last_position(stream)
        if last is None:
            return False
        await self._positions.must_reach(READER, last)
        return True
