"""Who leads a reader of the log, and for how long."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from tests.support.eventually import eventually
from tests.support.stores import storing

SESSIONS = """
SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid)
 WHERE locktype = 'advisory' AND classid = 7270502 AND granted AND datname = current_database()
"""


async def leaders(connection: asyncpg.Connection) -> list[int]:
    return [row["pid"] for row in await connection.fetch(SESSIONS)]


async def test_one_process_leads_at_a_time_and_the_next_one_when_it_is_done(fresh_database_url: str) -> None:
    dsn = fresh_database_url
    async with storing(dsn) as first, storing(dsn) as second:
        began = asyncio.Event()

        async def lead() -> None:
            async with second.readers.leadership("jobs"):
                began.set()

        async with first.readers.leadership("jobs"):
            waiting = asyncio.create_task(lead())
            connection = await asyncpg.connect(dsn)
            await eventually(lambda: leaders(connection), lambda found: len(found) == 1)
            await connection.close()
            assert not began.is_set()
        async with asyncio.timeout(60):
            await waiting


async def test_whoever_loses_its_session_stops_leading_and_another_goes_on(fresh_database_url: str) -> None:
    dsn = fresh_database_url
    connection = await asyncpg.connect(dsn)
    async with storing(dsn) as first, storing(dsn) as second:
        stopped = asyncio.Event()

        async def lead() -> None:
            with pytest.raises(TimeoutError):
                async with first.readers.leadership("jobs"):
                    await asyncio.Event().wait()
            stopped.set()

        leading = asyncio.create_task(lead())
        (pid,) = await eventually(lambda: leaders(connection))
        await connection.execute("SELECT pg_terminate_backend($1)", pid)
        async with asyncio.timeout(60), second.readers.leadership("jobs"):
            await stopped.wait()
        await leading
    await connection.close()
