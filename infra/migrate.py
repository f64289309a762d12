"""Brings a database to the newest schema: forward only, each step once, under a lock."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import asyncpg

from adapters.postgres.database import Connection
from projections import dead_letters
from projections.projection import Projection

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK = "SELECT pg_advisory_lock(7270503)"
READER_ROLE = "millrace_reader"
UNLOCK = "SELECT pg_advisory_unlock(7270503)"


class NewerDatabase(Exception):
    """Raised when the database has been migrated by a newer release than this one."""

    def __init__(self, applied: str) -> None:
        super().__init__(
            f"the database already has migration {applied}, which this release does not know; install the newer release"
        )
        self.applied = applied


async def migrate(connection: Connection, projections: Sequence[Projection]) -> list[str]:
    """Applies the migrations that are missing, and makes the tables of the read models.

    Returns:
        The names of the migrations applied now.

    Raises:
        NewerDatabase: the database is ahead of this release.
    """
    await connection.execute(LOCK)
    try:
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations"
            " (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        done = {row["name"] for row in await connection.fetch("SELECT name FROM migrations")}
        files = sorted(MIGRATIONS.glob("*.sql"))
        unknown = done - {file.stem for file in files}
        if unknown:
            raise NewerDatabase(max(unknown))
        applied = []
        for file in files:
            if file.stem in done:
                continue
            async with connection.transaction():
                await connection.execute(file.read_text())
                await connection.execute("INSERT INTO migrations (name) VALUES ($1)", file.stem)
            applied.append(file.stem)
        if dead_letters.MIGRATION in applied:
            await dead_letters.complete(connection)
        readable = await _reader_role(connection)
        for projection in projections:
            await _ensure(connection, projection, readable)
        return applied
    finally:
        await connection.execute(UNLOCK)


async def _reader_role(connection: Connection) -> bool:
    """Whether there is the role `millrace_reader`, which may read the read models and nothing else.

    It is for reports and dashboards in SQL and sees all tenants. A user that may not make roles leaves it out; whoever
    may can make it, and the next migration grants it the same.
    """
    with suppress(asyncpg.InsufficientPrivilegeError, asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
        if await connection.fetchval("SELECT to_regrole($1)", READER_ROLE) is None:
            await connection.execute(f"CREATE ROLE {READER_ROLE} NOLOGIN")
    return await connection.fetchval("SELECT to_regrole($1)", READER_ROLE) is not None


async def _ensure(connection: Connection, projection: Projection, readable: bool) -> None:
    """A read model that is new to this database begins with the first event; tables that a newer release adds to one
    that is there begin with the next."""
    await connection.execute("INSERT INTO readers (name) VALUES ($1) ON CONFLICT DO NOTHING", projection.name)
    while True:
        version = await connection.fetchval("SELECT version FROM readers WHERE name = $1", projection.name)
        # Not under the row's lock: making an index waits for a projector that writes, and that one waits for the row.
        await projection.create(connection, version)
        if await _publish(connection, projection, version, readable):
            return


async def _publish(connection: Connection, projection: Projection, version: int, readable: bool) -> bool:
    """Points the views at the version's tables and returns True; False where a rebuild has switched to others.

    Args:
        readable: lets the role for reports read them, in the same transaction, since PostgreSQL refuses to grant on a
            view that another one is replacing.

    The row's lock keeps a switch out until the views stand: otherwise they are put back to tables that nobody writes
    any more, while the position says that they hold everything.
    """
    async with connection.transaction():
        live = await connection.fetchval("SELECT version FROM readers WHERE name = $1 FOR UPDATE", projection.name)
        if live != version:
            return False
        await projection.publish(connection, version)
        if readable:
            await connection.execute(f"GRANT SELECT ON {', '.join(projection.views)} TO {READER_ROLE}")
        return True
