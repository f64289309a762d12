"""Reads what the log and the read models say at the end of a run, past the proxies and past the service."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from tests.faults.harness.checkers import Event

EVENTS = """
SELECT notification_id, originator_version, event_id, event_type, kind, subject, tenant, causation_id, state
  FROM stored_events ORDER BY notification_id
"""
ENVELOPE = frozenset({"timestamp", "class_version"})
UNREADABLE = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


@dataclass(slots=True)
class Stored:
    """What a database holds.

    Attributes:
        rows, reached: the live `jobs` read model, and the position that it stands at; not after the log's end.
        held: streams that a read model could not digest, with the reason.
    """

    log: list[Event] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    reached: int = 0
    held: list[str] = field(default_factory=list)


async def everything(url: str) -> Stored:
    """Reads it all; raises one of `UNREADABLE` where that is not possible."""
    held = await held_streams(url)
    reached, rows = await job_rows(url)
    return Stored(await whole_log(url), rows, reached, held)


async def whole_log(url: str) -> list[Event]:
    """Every event of every tenant in order, shaped as consumers get them but read from the table itself."""
    connection = await asyncpg.connect(url, timeout=5)
    try:
        epoch = await connection.fetchval("SELECT epoch FROM store")
        return [_event(row, epoch) for row in await connection.fetch(EVENTS)]
    finally:
        await connection.close()


def _event(row: asyncpg.Record, epoch: str) -> Event:
    data = {name: value for name, value in json.loads(row["state"]).items() if name not in ENVELOPE}
    return {
        "id": str(row["event_id"]), "eventtype": row["event_type"], "source": f"/millrace/{row['kind']}",
        "subject": row["subject"], "tenant": row["tenant"], "version": row["originator_version"], "data": data,
        "position": f"{epoch}-{row['notification_id']}", "causationid": row["causation_id"],
    }  # fmt: skip


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
