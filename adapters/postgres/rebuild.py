"""Rebuilds a read model beside the live one and switches to it in one short transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import asyncpg

from adapters.postgres.append_lock import APPEND_LOCK
from adapters.postgres.database import Connection
from domain.ports import EventStore
from projections.projection import Projection, digest

PAGE = 2_000
SWITCH_WITHIN = 1_000
SWITCH_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild came to.

    Attributes:
        events: how many the log held at the switch.
        live, rebuilt: digests of the old and the new tables at one position shortly before the switch, None where
            they were not asked for; equal where the read model equals a replay.
    """

    name: str
    version: int
    events: int
    live: str | None
    rebuilt: str | None

    @property
    def equal(self) -> bool:
        return self.live == self.rebuilt


class RebuildBlocked(Exception):
    """Raised when the switch did not get the append lock in time, again and again; the live model is untouched."""


class RebuildRunning(Exception):
    """Raised when the same read model is being rebuilt already."""

    def __init__(self, name: str) -> None:
        super().__init__(f"another rebuild of {name} is running; wait for it or stop it")
        self.name = name


async def rebuild(
    connection: Connection,
    store: EventStore,
    projection: Projection,
    progress: Callable[[int, int], None],
    verify: bool = True,
) -> Rebuilt:
    """Fills the next version from the log, resuming one that was interrupted, and switches readers and writers to it.

    The last events are applied under the append lock, for half a second at most; if that is not enough the rebuild
    backs off and comes closer first. The old version's tables stay until `confirm` or the next rebuild.

    Args:
        progress: called with (events done, events in all).
        verify: compares both versions at one position first. The live projection stands still meanwhile, commands do
            not.

    Raises:
        RebuildRunning: somebody else is at it.
        RebuildBlocked: the log never left room for the switch.
    """
    name = projection.name
    if not await connection.fetchval("SELECT pg_try_advisory_lock(7270504, hashtext($1))", name):
        raise RebuildRunning(name)
    await confirm(connection, projection)
    live = await connection.fetchval("SELECT version FROM readers WHERE name = $1", name)
    version, beside = live + 1, f"{name}@v{live + 1}"
    await connection.execute(
        "INSERT INTO readers (name, version) VALUES ($1, $2) ON CONFLICT DO NOTHING", beside, version
    )
    await projection.create(connection, version)
    projection.forget()
    for attempt in range(20):
        await _catch_up(connection, store, projection, beside, version, progress)
        digests = await _verify(connection, store, projection, beside, version) if verify else (None, None)
        try:
            events = await _switch(connection, store, projection, beside, version)
            return Rebuilt(name, version, events, *digests)
        except (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError, TimeoutError):
            projection.forget()
            await asyncio.sleep(0.1 * (attempt + 1))
    raise RebuildBlocked(f"{name} could not be switched: the log was never quiet for {SWITCH_SECONDS} s; try again")


async def _catch_up(
    connection: Connection,
    store: EventStore,
    projection: Projection,
    beside: str,
    version: int,
    progress: Callable[[int, int], None],
) -> None:
    while True:
        position: int = await connection.fetchval("SELECT position FROM readers WHERE name = $1", beside)
        head = await store.head()
        progress(position, head)
        if head - position < SWITCH_WITHIN:
            return
        async with connection.transaction():
            await _advance(connection, store, projection, beside, version, min(position + PAGE, head))


async def _verify(
    connection: Connection, store: EventStore, projection: Projection, beside: str, version: int
) -> tuple[str, str]:
    """Digests of the live and the new tables at the head of the log; a row lock keeps the live one from going on.

    At the head, since a replay lacks what was archived meanwhile: before the event that says so, the live tables may
    still have it.
    """
    async with connection.transaction():
        live = await connection.fetchval("SELECT version FROM readers WHERE name = $1 FOR UPDATE", projection.name)
        head = await store.head()
        await _advance(connection, store, projection, projection.name, live, head)
        await _advance(connection, store, projection, beside, version, head)
        return (
            await digest(connection, projection.tables(live)),
            await digest(connection, projection.tables(version)),
        )


async def _switch(connection: Connection, store: EventStore, projection: Projection, beside: str, version: int) -> int:
    name = projection.name
    async with asyncio.timeout(SWITCH_SECONDS), connection.transaction():
        await connection.execute("SET LOCAL lock_timeout = '500ms'")
        await connection.execute(APPEND_LOCK)
        old = await connection.fetchval("SELECT version FROM readers WHERE name = $1 FOR UPDATE", name)
        head = int(await connection.fetchval("SELECT head FROM store"))
        await _advance(connection, store, projection, beside, version, head)
        await projection.publish(connection, version)
        await connection.execute("UPDATE readers SET version = $2, position = $3 WHERE name = $1", name, version, head)
        await connection.execute("DELETE FROM readers WHERE name = $1", beside)
        await connection.execute(
            "INSERT INTO readers (name, version, position) VALUES ($1, $2, $3)"
            " ON CONFLICT (name) DO UPDATE SET version = excluded.version, position = excluded.position",
            f"{name}@old",
            old,
            head,
        )
    return head


async def _advance(
    connection: Connection, store: EventStore, projection: Projection, reader: str, version: int, until: int
) -> None:
    """Applies the events from a reader's position up to `until`, inside the caller's transaction."""
    projection.forget()
    # The live model has what came before the event that it could not digest, so the rebuilt one takes that too.
    rows = await connection.fetch("SELECT stream, position FROM held WHERE reader = $1", projection.name)
    held = {row["stream"]: row["position"] for row in rows}
    position: int = await connection.fetchval("SELECT position FROM readers WHERE name = $1", reader)
    while position < until:
        # Where events were archived, a page reaches further than it is long.
        page = await store.read(position, min(PAGE, until - position))
        events = [event for event in page if event.position <= until]
        wanted = [event for event in events if event.position < held.get(event.stream.text, until + 1)]
        await projection.apply(connection, version, wanted)
        position = events[-1].position if events else until
    await connection.execute("UPDATE readers SET position = $2 WHERE name = $1", reader, position)


async def confirm(connection: Connection, projection: Projection) -> int | None:
    """Drops the tables that the last rebuild replaced; returns their version, None where there are none."""
    old: int | None = await connection.fetchval(
        "DELETE FROM readers WHERE name = $1 RETURNING version", f"{projection.name}@old"
    )
    if old is not None:
        await projection.drop(connection, old)
    return old
