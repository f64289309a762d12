"""A running store on a database of its own, and appends for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from adapters.contracts.appends import TENANT, append, key, name
from adapters.postgres.database import Database
from adapters.postgres.mapper import EventMapper
from infra.migrate import migrate
from infra.settings_jobs import Leases
from infra.storage import Storage
from projections.registry import projections

__all__ = ["TENANT", "append", "key", "migrated", "name", "storing"]


async def migrated(dsn: str) -> str:
    """The address again, once the schema is there."""
    connection = await Database(dsn).connect()
    try:
        await migrate(connection, projections())
    finally:
        await connection.close()
    return dsn


@asynccontextmanager
async def storing(dsn: str, mapper: EventMapper | None = None, leases: Leases | None = None) -> AsyncIterator[Storage]:
    """A store as one process of the service has it: several on one database are several writers."""
    storage = await Storage.started(Database(dsn), mapper or EventMapper(), leases or Leases())
    try:
        yield storage
    finally:
        await storage.stop()
