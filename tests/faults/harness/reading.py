"""Reads what the log and the read models say at the end of a run, past the proxies and past the service."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import asyncpg
from pydantic_core import from_json, to_json

from adapters.cloudevents import cloud_event
from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.group_commit import GroupCommit
from adapters.postgres.mapper import EventMapper
from domain.ports import StoreUnavailable

PAGE = 1_000
UNREADABLE = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, StoreUnavailable)


@dataclass(slots=True)
class Stored:
    """What a database holds.

    Attributes:
        rows, reached: the live `jobs` read model, and the position that it stands at; not after the log's end.
        held: streams that a read model could not digest, with the reason.
    """

    log: list[dict[str, Any]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    reached: int = 0
    held: list[str] = field(default_factory=list)


async def everything(url: str) -> Stored:
    """Reads it all; raises one of `UNREADABLE` where that is not possible."""
    held = await held_streams(url)
    reached, rows = await job_rows(url)
    return Stored(await whole_log(url), rows, reached, held)


async def whole_log(url: str) -> list[dict[str, Any]]:
    """Every event of every tenant in order, as consumers get them."""
    database = Database(url)
    pool = await database.pool(size=1)
    try:
        store = PostgresEventStore(pool, GroupCommit(database.connect_writer, lambda position: None), EventMapper())
        epoch, events, after = await store.epoch(), [], 0
        while page := await store.read(after, PAGE):
            events += [from_json(to_json(cloud_event(event, epoch))) for event in page]
            after = page[-1].position
        return events
    finally:
        pool.terminate()


async def job_rows(url: str) -> tuple[int, list[dict[str, Any]]]:
    """The live `jobs` read model and the position that it has reached, in one snapshot."""
    connection = await asyncpg.connect(url, timeout=5)
    try:
        async with connection.transaction(isolation="repeatable_read"):
            position = await connection.fetchval("SELECT position FROM readers WHERE name = 'jobs'")
            rows = await connection.fetch("SELECT id, version, status, attempts FROM jobs")
        return position, [dict(row) for row in rows]
    finally:
        await connection.close()


async def held_streams(url: str) -> list[str]:
    """Streams that a read model could not digest, with the reason."""
    connection = await asyncpg.connect(url, timeout=5)
    try:
        rows = await connection.fetch("SELECT reader, stream, error FROM held ORDER BY held_at LIMIT 20")
        return [f"{row['reader']} holds {row['stream']}: {row['error'][:200]}" for row in rows]
    finally:
        await connection.close()
