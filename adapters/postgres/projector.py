"""Runs a projection: pages of events in, rows and position out, in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from adapters.postgres.database import Connection
from adapters.postgres.errors import CONNECTION_ERRORS
from adapters.postgres.readers import PostgresReaders
from domain.ports import Doorbell, EventStore, RecordedEvent
from handlers.persistence import persistently
from projections.projection import Projection

PAGE = 1_000
POLL_SECONDS = 1.0
ATTEMPTS = 3

log = structlog.get_logger("projector")


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
        async with self._readers.leadership(name) as connection:
            self._projection.forget()
            failures = 0
            while True:
                version, position = await _place(connection, name)
                events = await self._store.read(position, PAGE)
                if not events:
                    await self._doorbell.wait(position, POLL_SECONDS)
                    continue
                try:
                    await self._apply(connection, version, position, events, single=failures >= ATTEMPTS)
                    failures = 0
                    self._on_advance(name, events[-1].position)
                except CONNECTION_ERRORS:
                    raise
                except Exception as error:
                    self._projection.forget()
                    failures += 1
                    log.warning("page failed", action="projection_page_failed", projection=name, error=repr(error))
                    await asyncio.sleep(0.05 * failures)

    async def _apply(
        self, connection: Connection, version: int, position: int, events: Sequence[RecordedEvent], single: bool
    ) -> None:
        """Writes a page; with `single`, event by event, so that the one that fails holds its stream alone."""
        name = self._projection.name
        async with connection.transaction():
            live = await _place(connection, name, lock=True)
            if live != (version, position):
                self._projection.forget()
                return
            wanted = await _without_held(connection, name, events)
            if not single:
                await self._projection.apply(connection, version, wanted)
            else:
                for event in wanted:
                    await self._apply_or_hold(connection, version, event)
            await connection.execute("UPDATE readers SET position = $2 WHERE name = $1", name, events[-1].position)

    async def _apply_or_hold(self, connection: Connection, version: int, event: RecordedEvent) -> None:
        if not await _without_held(connection, self._projection.name, [event]):
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


async def _place(connection: Connection, name: str, lock: bool = False) -> tuple[int, int]:
    row = await connection.fetchrow(
        f"SELECT version, position FROM readers WHERE name = $1{' FOR UPDATE' if lock else ''}", name
    )
    if row is None:
        raise LookupError(f"there is no reader {name!r}; run the migrations")
    return row["version"], row["position"]


async def _without_held(connection: Connection, name: str, events: Sequence[RecordedEvent]) -> Sequence[RecordedEvent]:
    held = {row["stream"] for row in await connection.fetch("SELECT stream FROM held WHERE reader = $1", name)}
    return [event for event in events if event.stream.text not in held] if held else events
