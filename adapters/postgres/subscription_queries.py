"""Answers the subscription queries from the read model."""

from __future__ import annotations

from typing import Any

import asyncpg

from adapters.postgres.errors import translated
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.log_queries import NoSuchAggregate
from adapters.postgres.positions import ReaderPositions
from domain.ports import StreamName
from domain.subscription import KIND
from handlers.routes import QueryRoute
from millrace.contracts import event as contract
from millrace.contracts.wire import Context, Token
from projections.subscriptions import parked_events, subscriptions

READER = "subscriptions"


class SubscriptionQueries:
    """Answers `subscription.get` and `subscription.list`."""

    def __init__(
        self, pool: asyncpg.Pool[asyncpg.Record], store: PostgresEventStore, positions: ReaderPositions, epoch: str
    ) -> None:
        self._pool, self._store, self._positions, self._epoch = pool, store, positions, epoch

    def routes(self) -> dict[str, QueryRoute]:
        return {
            "subscription.get": QueryRoute(contract.GetSubscription, self._get, READER),
            "subscription.list": QueryRoute(contract.ListSubscriptions, self._list, READER),
        }

    @translated
    async def _get(self, query: contract.GetSubscription, context: Context) -> dict[str, Any]:
        last = await self._store.last_position(StreamName(KIND, context.tenant, query.name))
        if last is None:
            raise NoSuchAggregate(KIND, query.name)
        await self._positions.must_reach(READER, last)
        async with self._pool.acquire() as connection:
            row = (await subscriptions(connection, context.tenant, query.name))[0]
            parked = await parked_events(connection, context.tenant, query.name)
        return {"subscription": self._told(row) | {"parked": [self._located(event) for event in parked]}}

    @translated
    async def _list(self, _: contract.ListSubscriptions, context: Context) -> dict[str, Any]:
        async with self._pool.acquire() as connection:
            return {"subscriptions": [self._told(row) for row in await subscriptions(connection, context.tenant)]}

    def _told(self, row: dict[str, Any]) -> dict[str, Any]:
        return self._located({name: value for name, value in row.items() if name != "tenant"})

    def _located(self, row: dict[str, Any]) -> dict[str, Any]:
        return row | {"position": str(Token(epoch=self._epoch, position=row["position"]))}
