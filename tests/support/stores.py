"""A running store on a database of its own, and appends for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from adapters.postgres.database import Database
from adapters.postgres.mapper import EventMapper
from domain.aggregate import Event
from domain.event import Published
from domain.ports import Append, CommandKey, Metadata, StreamName
from infra.migrate import migrate
from infra.settings_jobs import Leases
from infra.storage import Storage
from projections.registry import projections
from tests.controls.clock import NOW

TENANT = "acme"


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


def name(id: str) -> StreamName:
    return StreamName("event", TENANT, id)


def said(id: str, version: int, text: Any = "hello") -> Event:
    return Published(name(id).text, version, NOW, event_type="test.said", payload={"text": text})


def key(command: str, body: bytes = b"body-11") -> CommandKey:
    return CommandKey(TENANT, "anonymous", command, body)


def append(id: str, after: int = 0, events: int = 1, command: str | None = None, text: Any = "hello") -> Append:
    """An append of `events` events to a stream that is at version `after`."""
    made: Sequence[Event] = [said(id, after + number, text) for number in range(1, events + 1)]
    return Append(
        name(id),
        after,
        made,
        Metadata(TENANT, "north", "c-31", "m-11", "kim", "00-aa-bb-01"),
        key(command) if command else None,
        f'{{"result":"{id}"}}' if command else None,
    )
