"""Applications' own events, subscriptions to events, and the log of all."""

from __future__ import annotations

from adapters.postgres.archived_history import ArchivedHistory
from adapters.postgres.log_queries import LogQueries
from adapters.postgres.subscription_leases import PostgresSubscriptionLeases
from adapters.postgres.subscription_queries import SubscriptionQueries
from handlers import event, subscription
from infra.composition import Base, Module


def events(base: Base) -> Module:
    storage = base.storage
    archived = ArchivedHistory(storage.store, base.objects)
    return Module(
        commands={**event.command_routes(), **subscription.command_routes()},
        operations=subscription.operation_routes(PostgresSubscriptionLeases(storage.pool)),
        queries={
            **SubscriptionQueries(storage.pool, storage.store, storage.positions, storage.epoch).routes(),
            **LogQueries(storage.store, storage.doorbell, storage.epoch, archived).routes(),
        },
    )
