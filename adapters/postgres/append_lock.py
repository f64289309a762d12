"""The one lock under which positions are given, and transactions that hold it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from adapters.postgres.database import Connection
from adapters.postgres.errors import CONNECTION_ERRORS

APPEND_LOCK = "SELECT pg_advisory_xact_lock(7270501)"


@asynccontextmanager
async def locked(connection: Connection) -> AsyncIterator[None]:
    """A transaction under the append lock, begun in one round trip.

    Statements that follow see whatever was committed before the lock was theirs.
    """
    try:
        await connection.execute(f"BEGIN; {APPEND_LOCK}")
        yield
    except BaseException:
        await _roll_back(connection)
        raise
    await connection.execute("COMMIT")


async def _roll_back(connection: Connection) -> None:
    if connection.is_closed():
        return
    try:
        await connection.execute("ROLLBACK")
    except CONNECTION_ERRORS:
        # What went wrong first says more than that it cannot be undone; the server does that itself.
        connection.terminate()
