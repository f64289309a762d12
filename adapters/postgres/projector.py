"""Runs a projection: pages of events in, rows and position out, in one transaction."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog

from adapters.postgres.database import Connection
from adapters.postgres.errors import CONNECTION_ERRORS
from adapters.postgres.readers import PostgresReaders
from domain.ports import Doorbell, EventStore, RecordedEvent
from handlers.persistence import persistently
from projections.projection import AtOnce, Projection

PAGE = 1_000
POLL_SECONDS = 1.0
SAVE_SECONDS = 0.2
SAVE_AT_LAST_SECONDS = 1.0
ATTEMPTS = 3

MOVE = """
UPDATE readers SET position = $4 WHERE name = $1 AND version = $2 AND position = $3
RETURNING ARRAY(SELECT stream FROM held WHERE reader = $1) AS held
"""

# Streams that are held make it move nobody, so that what is to be left out is looked at.
AT_ONCE = """
WITH moved AS (
    UPDATE readers SET position = $4 WHERE name = $1 AND version = $2 AND position = $3
       AND NOT EXISTS (SELECT FROM held WHERE reader = $1)
    RETURNING 1
)"""

log = structlog.get_logger("projector")


class _Place(NamedTuple):
    """Where a reader stands."""

    version: int
    position: int


class Projector:
    """Keeps one projection up to the log, while this process leads it.

    The position is that of the last event scanned, saved with the rows. An event that cannot be digested after some
    attempts holds its own stream: the stream is noted in `held` and skipped until it is released.
    """

    def __init__(
        self,
        projection: Projection,
        store: EventStore,
        readers: PostgresReaders,
        doorbell: Doorbell,
        on_advance: Callable[[str, int], None],
    ) -> None:
        self._projection, self._store, self._readers, self._doorbell = projection, store, readers, doorbell
        self._on_advance = on_advance

    async def run(self) -> None:
        """Runs until cancelled."""
        await persistently(self._projection.name, self._lead)

    async def _lead(self) -> None:
        name = self._projection.name
        async with self._readers.leading_connection(name) as connection:
            self._projection.forget()
            place = await _place(connection, name)
            scanned, failures, due = place.position, 0, 0.0
            while True:
                # At the end of what is known there is nothing to ask the store for; each second it is asked all the
                # same, since a ring may be lost.
                timeout = POLL_SECONDS if scanned == place.position else SAVE_SECONDS
                await self._doorbell.wait(scanned, timeout, self._projection.kinds)
                if connection.is_closed():
                    # The server may have crashed and forgotten the newest rows, and a quiet log would never tell us.
                    raise ConnectionResetError(f"{name}: the connection is gone, so the place may be")
                events = await self._store.read(scanned, PAGE)
                own = [event for event in events if event.stream.kind in self._projection.kinds]
                if events and not own and time.monotonic() < due:
                    # Nothing to write: that it was scanned is saved when there is, when it is quiet, or in a while.
                    scanned = events[-1].position
                    self._on_advance(name, scanned)
                    continue
                until = events[-1].position if events else scanned
                if until == place.position:
                    continue
                try:
                    moved = await self._apply(connection, place, own, until, single=failures >= ATTEMPTS)
                except CONNECTION_ERRORS:
                    raise
                except Exception as error:
                    self._projection.forget()
                    failures += 1
                    log.warning("page failed", action="projection_page_failed", projection=name, error=repr(error))
                    await asyncio.sleep(0.05 * failures)
                    continue
                failures = 0
                due = time.monotonic() + SAVE_AT_LAST_SECONDS
                if moved:
                    place = _Place(place.version, until)
                    self._on_advance(name, until)
                else:
                    self._projection.forget()
                    place = await _place(connection, name)
                scanned = place.position

    async def _apply(
        self, connection: Connection, place: _Place, own: Sequence[RecordedEvent], until: int, single: bool
    ) -> bool:
        """Writes what follows from the events, and that the reader has scanned `until`; with `single`, event by event,
        so that the one that fails holds its stream alone.

        Returns:
            False, with nothing written, where the reader is not at `place` any more: a rebuild moved it.
        """
        if not own:
            return await self._move(connection, place, until) is not None
        if not single and await self._apply_at_once(connection, place, own, until):
            return True
        async with connection.transaction():
            held = await self._move(connection, place, until)
            if held is None:
                return False
            wanted = [event for event in own if event.stream.text not in held] if held else own
            if not single:
                await self._projection.apply(connection, place.version, wanted)
            else:
                for event in wanted:
                    await self._apply_or_hold(connection, place.version, event)
        return True

    async def _apply_at_once(
        self, connection: Connection, place: _Place, own: Sequence[RecordedEvent], until: int
    ) -> bool:
        projection = self._projection
        if not isinstance(projection, AtOnce):
            return False
        statement = await projection.at_once(connection, place.version, own)
        if statement is None:
            return False
        moved = (self._projection.name, place.version, place.position, until)
        done = await connection.execute(AT_ONCE + statement.text, *moved, *statement.parameters)
        if done.endswith(" 0"):
            self._projection.forget()
            return False
        return True

    async def _move(self, connection: Connection, place: _Place, position: int) -> set[str] | None:
        """Moves the reader on and returns the streams that it goes on without; None where it is not at `place`."""
        row = await connection.fetchrow(MOVE, self._projection.name, place.version, place.position, position)
        return None if row is None else set(row["held"])

    async def _apply_or_hold(self, connection: Connection, version: int, event: RecordedEvent) -> None:
        if event.stream.text in await _held(connection, self._projection.name):
            return
        try:
            async with connection.transaction():
                await self._projection.apply(connection, version, [event])
        except CONNECTION_ERRORS:
            raise
        except Exception as error:
            self._projection.forget()
            await connection.execute(
                "INSERT INTO held (reader, stream, position, error) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
                self._projection.name,
                event.stream.text,
                event.position,
                repr(error)[:2_000],
            )
            log.error(
                "stream held",
                action="stream_held",
                projection=self._projection.name,
                stream=event.stream.text,
                position=event.position,
                error=repr(error),
            )


async def _place(connection: Connection, name: str) -> _Place:
    row = await connection.fetchrow("SELECT version, position FROM readers WHERE name = $1", name)
    if row is None:
        raise LookupError(f"there is no reader {name!r}; run the migrations")
    return _Place(row["version"], row["position"])


async def _held(connection: Connection, name: str) -> set[str]:
    return {row["stream"] for row in await connection.fetch("SELECT stream FROM held WHERE reader = $1", name)}
