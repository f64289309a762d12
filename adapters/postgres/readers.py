"""Where each reader of the log has got to, and which process leads it."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
import structlog

from adapters.postgres.errors import CONNECTION_ERRORS, translated
from domain.ports import StreamName

TRY_SECONDS = 1.0
BEAT_SECONDS = 2.0
LAPSE_SECONDS = 8.0
log = structlog.get_logger("readers")


class PostgresReaders:
    """Implements `domain.ports.Readers` on the table `readers`."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        connect: Callable[[], Awaitable[asyncpg.Connection[asyncpg.Record]]],
    ) -> None:
        self._pool, self._connect = pool, connect

    @translated
    async def ensure(self, name: str, position: int = 0) -> None:
        """Adds a reader that begins at `position`; one that is there stays as it is."""
        await self._pool.execute(
            "INSERT INTO readers (name, position) VALUES ($1, $2) ON CONFLICT DO NOTHING", name, position
        )

    @translated
    async def position(self, name: str) -> int:
        value = await self._pool.fetchval("SELECT position FROM readers WHERE name = $1", name)
        return int(value or 0)

    @translated
    async def positions(self) -> dict[str, int]:
        return {row["name"]: row["position"] for row in await self._pool.fetch("SELECT name, position FROM readers")}

    @translated
    async def advance(self, name: str, position: int) -> None:
        """Moves a reader forward; never back."""
        await self._pool.execute("UPDATE readers SET position = $2 WHERE name = $1 AND position < $2", name, position)

    @translated
    async def hold(self, name: str, stream: StreamName, position: int, error: str) -> None:
        """Notes that the reader goes on without a stream."""
        await self._pool.execute(
            "INSERT INTO held (reader, stream, position, error) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            name,
            stream.text,
            position,
            error[:2_000],
        )

    @translated
    async def held_streams(self, name: str) -> set[str]:
        """The streams that the reader goes on without."""
        return {row["stream"] for row in await self._pool.fetch("SELECT stream FROM held WHERE reader = $1", name)}

    @translated
    async def held(self) -> list[tuple[str, str, str]]:
        """(reader, stream, error) of every stream that a reader goes on without."""
        rows = await self._pool.fetch("SELECT reader, stream, error FROM held ORDER BY held_at LIMIT 1000")
        return [(row["reader"], row["stream"], row["error"]) for row in rows]

    @asynccontextmanager
    async def leadership(self, name: str) -> AsyncIterator[None]:
        """Waits until this process leads `name`, and ends what runs inside when it does not lead any more.

        The lock belongs to a session that PostgreSQL ends when it has not heard of it for a while, so that a process
        that is frozen or stuck leads no longer than that. When it wakes up it may go on for a moment before it notices:
        whoever leads must still write positions so that a predecessor that only thinks it leads cannot move them back.

        Raises:
            TimeoutError: the leadership was lost.
        """
        key = zlib.crc32(name.encode())
        session = await self._connect()
        try:
            await session.execute(f"SET idle_session_timeout = {round(LAPSE_SECONDS * 1_000)}")
            # Advisory locks have no queue that notifies: whoever waits asks again.
            while not await session.fetchval("SELECT pg_try_advisory_lock(7270502, $1)", key - 2**31):  # noqa: ASYNC110
                await asyncio.sleep(TRY_SECONDS)
            log.debug("leading", action="leading", reader=name)
            async with asyncio.timeout(None) as leading:
                beating = asyncio.create_task(_beat(session, leading))
                try:
                    yield
                finally:
                    beating.cancel()
        finally:
            session.terminate()

    @asynccontextmanager
    async def leading_connection(self, name: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        """A connection to work on while this process leads `name`; otherwise as `leadership`."""
        async with self.leadership(name):
            connection = await self._connect()
            try:
                yield connection
            finally:
                connection.terminate()


async def _beat(session: asyncpg.Connection[asyncpg.Record], leading: asyncio.Timeout) -> None:
    """Keeps the session; without it the leadership is over."""
    try:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            await session.execute("SELECT", timeout=LAPSE_SECONDS)
    except (*CONNECTION_ERRORS, TimeoutError) as error:
        log.warning("leadership lost", action="leadership_lost", error=repr(error))
        leading.reschedule(asyncio.get_running_loop().time())
