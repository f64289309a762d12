"""Opens the store: waits for a PostgreSQL that is not there yet, and brings its schema up to date."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

import asyncpg
import structlog

from adapters.postgres.database import Connection, Database
from adapters.postgres.mapper import EventMapper
from domain.ports import StoreUnavailable
from infra.migrate import migrate
from infra.modules.queues import store_settings
from infra.settings_jobs import Jobs
from infra.storage import Storage
from projections.registry import projections

ABSENT = (
    OSError,
    StoreUnavailable,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
)
PATIENCE_SECONDS = 60.0
PAUSE_SECONDS = 1.0
CLOSE_SECONDS = 2.0
T = TypeVar("T")
log = structlog.get_logger("service")


class PostgresUnreachable(Exception):
    """Raised when PostgreSQL cannot be reached by a command, or by a service that has waited for it.

    Attributes:
        place: host and port, or the folder of the socket; never a user or a password.
    """

    def __init__(self, place: str, reason: BaseException) -> None:
        super().__init__(
            f"PostgreSQL at {place} cannot be reached ({str(reason) or type(reason).__name__}); see that it runs, and"
            " that DATABASE_URL names it"
        )
        self.place = place


async def connected(dsn: str, patience: float = 0.0) -> Connection:
    """A connection whose statements take as long as they take, for a migration or for one command of an operator.

    Raises:
        PostgresUnreachable: nobody answers there, for `patience` seconds.
    """
    return await _insisting(dsn, patience, lambda: Database(dsn).connect(command_timeout=None))


async def opened(dsn: str, mapper: EventMapper, jobs: Jobs, patience: float = PATIENCE_SECONDS) -> Storage:
    """The store, started, on a database with this release's schema and the settings of the configuration file.

    Args:
        patience: for so many seconds a PostgreSQL that does not answer is tried again, as while it starts itself. What
            a migration meets is not: it is told at once.

    Raises:
        PostgresUnreachable: it has not answered by then.
        NewerDatabase: the database is ahead of this release.
        asyncpg.PostgresError: it answers, and refuses; a wrong password is not waited for.
    """
    connection = await connected(dsn, patience)
    try:
        applied = await migrate(connection, projections())
    except BaseException:
        connection.terminate()
        raise
    with suppress(OSError):
        await connection.close(timeout=CLOSE_SECONDS)
    if applied:
        log.info("migrated", action="migrated", migrations=applied)
    return await _insisting(dsn, patience, lambda: _started(Database(dsn), mapper, jobs))


async def _started(database: Database, mapper: EventMapper, jobs: Jobs) -> Storage:
    storage = await Storage.started(database, mapper, jobs.leases)
    try:
        await store_settings(storage, jobs)
    except BaseException:
        await storage.stop()
        raise
    return storage


async def _insisting(dsn: str, patience: float, reach: Callable[[], Awaitable[T]]) -> T:
    until = time.monotonic() + patience
    while True:
        try:
            return await reach()
        except ABSENT as error:
            # A certificate that is not believed will not be believed later.
            if time.monotonic() >= until or isinstance(error, ssl.SSLError):
                raise PostgresUnreachable(place_of(dsn), error) from error
            reason = str(error) or type(error).__name__
            log.warning("waiting for PostgreSQL", action="waiting_for_postgres", place=place_of(dsn), error=reason)
            await asyncio.sleep(PAUSE_SECONDS)


def place_of(dsn: str) -> str:
    """Where a URL points to, without what it says to get in."""
    parts = urlsplit(dsn)
    if "@" in f"{parts.path}{parts.query}{parts.fragment}":
        # A password with a character that ends the host's part: what stands there is not a host.
        return "the address in DATABASE_URL"
    asked = parse_qs(parts.query)
    host = parts.hostname or asked.get("host", ["its usual place"])[0]
    return host if parts.port is None else f"{host}:{parts.port}"
