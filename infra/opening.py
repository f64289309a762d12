"""Opens the store: waits for a PostgreSQL that is not there yet, and brings its schema up to date."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import parse_qs, urlsplit

import structlog

from adapters.postgres.database import Connection, Database
from adapters.postgres.errors import CONNECTION_ERRORS
from adapters.postgres.mapper import EventMapper
from domain.ports import StoreUnavailable
from infra.migrate import migrate
from infra.modules.queues import store_settings
from infra.settings_jobs import Jobs
from infra.storage import Storage
from projections.registry import projections

PATIENCE_SECONDS = 60.0
PAUSE_SECONDS = 1.0
CLOSE_SECONDS = 2.0
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


async def connected(dsn: str) -> Connection:
    """A connection for one command of an operator, whose statements take as long as they take.

    Raises:
        PostgresUnreachable: nobody answers there.
    """
    try:
        return await Database(dsn).connect(command_timeout=None)
    except (OSError, TimeoutError) as error:
        raise PostgresUnreachable(place_of(dsn), error) from error


async def opened(dsn: str, mapper: EventMapper, jobs: Jobs, patience: float = PATIENCE_SECONDS) -> Storage:
    """The store, started, on a database with this release's schema and the settings of the configuration file.

    Args:
        patience: for so many seconds a PostgreSQL that does not answer is tried again, as while it starts itself.

    Raises:
        PostgresUnreachable: it has not answered by then.
        NewerDatabase: the database is ahead of this release.
        asyncpg.PostgresError: it answers, and refuses; a wrong password is not waited for.
    """
    until = time.monotonic() + patience
    while True:
        try:
            return await _opened(dsn, mapper, jobs)
        except (*CONNECTION_ERRORS, StoreUnavailable) as error:
            if isinstance(error, ValueError):
                # The driver's word for a URL that cannot be one.
                raise
            if time.monotonic() >= until:
                raise PostgresUnreachable(place_of(dsn), error) from error
            log.warning(
                "waiting for PostgreSQL",
                action="waiting_for_postgres",
                place=place_of(dsn),
                error=str(error) or repr(error),
            )
            await asyncio.sleep(PAUSE_SECONDS)


async def _opened(dsn: str, mapper: EventMapper, jobs: Jobs) -> Storage:
    database = Database(dsn)
    connection = await database.connect(command_timeout=None)
    try:
        applied = await migrate(connection, projections())
    finally:
        await connection.close(timeout=CLOSE_SECONDS)
    if applied:
        log.info("migrated", action="migrated", migrations=applied)
    storage = await Storage.started(database, mapper, jobs.leases)
    try:
        await store_settings(storage, jobs)
    except BaseException:
        await storage.stop()
        raise
    return storage


def place_of(dsn: str) -> str:
    """Where a URL points to, without what it says to get in."""
    parts = urlsplit(dsn)
    socket = parse_qs(parts.query).get("host", [""])[0]
    return socket or f"{parts.hostname or 'localhost'}:{parts.port or 5432}"
