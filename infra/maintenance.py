"""What an operator does to a service that runs or stands still: migrate, rebuild, release, declare, examine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import asyncpg

from adapters.amqp import declaration
from adapters.amqp.connection import close_connection, open_connection
from adapters.amqp.errors import BrokerUnavailable
from adapters.amqp.topology import topology
from adapters.postgres.database import LEADER_SECONDS, Connection, Database
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.group_commit import GroupCommit
from adapters.postgres.mapper import EventMapper
from adapters.postgres.rebuild import Rebuilt, rebuild
from adapters.postgres.release import release
from adapters.postgres.tail import EventTail
from infra.channels import check_channels
from infra.embedded_postgres import DATABASE, USER
from infra.migrate import migrate
from infra.opening import PostgresUnreachable, connected
from infra.settings import Settings
from projections.projection import Projection
from projections.registry import projections


class NotRunning(Exception):
    """Raised when a command needs a database and none is named, or the data folder's is not running."""


class NoSuchReadModel(Exception):
    """Raised when a read model is named that does not exist."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no read model {name!r}; known are {', '.join(p.name for p in projections())}")
        self.name = name


@dataclass(frozen=True, slots=True)
class Finding:
    """What `doctor` found out about one part; `text` says what helps where it is not `ok`."""

    part: str
    ok: bool
    text: str


def database_dsn(settings: Settings, data: Path | None) -> str:
    """The database to work on: that of a running `millrace up`, by its data folder, or `database_url`.

    Raises:
        NotRunning: there is neither.
    """
    if data is None and settings.database_url is not None:
        return settings.database_url.get_secret_value()
    folder = data or settings.data
    socket = folder / "socket"
    if not socket.is_file():
        raise NotRunning(
            f"no PostgreSQL runs on {folder}; start `millrace up --data {folder}` first, or set DATABASE_URL"
        )
    return f"postgresql://{USER}@/{DATABASE}?host={quote(socket.read_text().strip())}"


async def migrate_database(dsn: str) -> list[str]:
    """Applies the missing migrations; returns their names."""
    connection = await connected(dsn)
    try:
        return await migrate(connection, projections())
    finally:
        await connection.close()


async def rebuild_read_model(dsn: str, name: str, progress: Callable[[int, int], None], verify: bool) -> Rebuilt:
    """Rebuilds a read model; see `adapters.postgres.rebuild`."""
    projection = _projection(name)
    async with _Reading(dsn) as (connection, store):
        return await rebuild(connection, store, projection, progress, verify)


async def release_held(dsn: str, name: str, stream: str) -> int:
    """Digests a held stream's missed events; returns how many."""
    projection = _projection(name)
    async with _Reading(dsn) as (connection, store):
        return await release(connection, store, projection, stream)


async def apply_topology(settings: Settings) -> None:
    """Declares the broker's topology."""
    connection = await open_connection(_broker(settings), "millrace-topology")
    try:
        await declaration.apply(connection, topology())
    finally:
        await close_connection(connection)


async def check_topology(settings: Settings) -> list[str]:
    """What is missing or different, a line each."""
    connection = await open_connection(_broker(settings), "millrace-topology")
    try:
        return [
            f"{d.kind} {d.name} is {d.problem} {d.detail}".rstrip()
            for d in await declaration.check(connection, topology())
        ]
    finally:
        await close_connection(connection)


async def diagnose(settings: Settings, file: Path | None, data: Path | None) -> list[Finding]:
    """Looks at everything the service depends on, as far as `settings` name it; `file` is where they come from."""
    findings = [_whose_settings(file)]
    try:
        dsn = database_dsn(settings, data)
        connection = await connected(dsn)
    except (NotRunning, PostgresUnreachable, asyncpg.PostgresError) as error:
        return [*findings, Finding("postgresql", False, str(error))]
    try:
        findings += await _examine(connection)
    finally:
        await connection.close()
    findings += [
        Finding(f"{each.channel} through {each.provider}", each.problem is None, each.problem or "lets us in")
        for each in await check_channels(settings if data is None else settings.model_copy(update={"data": data}))
    ]
    if settings.rabbitmq_url is None:
        return [*findings, Finding("rabbitmq", True, "not configured; events stay in PostgreSQL")]
    try:
        differences = await check_topology(settings)
    except BrokerUnavailable as error:
        return [*findings, Finding("rabbitmq", False, str(error))]
    text = "; ".join(differences) or "reachable, topology as declared"
    return [*findings, Finding("rabbitmq", not differences, text)]


def _whose_settings(file: Path | None) -> Finding:
    source = "no file" if file is None else file.absolute()
    text = (
        f"read from {source} and the environment of this command, not from a running service: "
        "give it the MILLRACE_CONFIG and variables that the service was started with"
    )
    return Finding("settings", True, text)


async def _examine(connection: Connection) -> list[Finding]:
    version = await connection.fetchval("SHOW server_version")
    if int(await connection.fetchval("SHOW server_version_num")) < 150_000:
        return [Finding("postgresql", False, f"version {version} is too old; 15 or newer is needed")]
    findings = [Finding("postgresql", True, f"version {version}")]
    unsafe = [
        name
        for name in ("fsync", "synchronous_commit", "full_page_writes")
        if await connection.fetchval(f"SHOW {name}") == "off"
    ]
    if unsafe:
        text = f"{', '.join(unsafe)} must not be off: acknowledged work would be lost"
        findings.append(Finding("durability", False, text))
    if await connection.fetchval("SELECT to_regclass('stored_events')") is None:
        return [*findings, Finding("schema", False, "not there yet; run `millrace migrate`")]
    head = await connection.fetchval("SELECT head FROM store")
    for row in await connection.fetch("SELECT name, position FROM readers WHERE name NOT LIKE '%@%' ORDER BY name"):
        behind = head - row["position"]
        findings.append(Finding(f"reader {row['name']}", behind < 10_000, f"{behind} events behind"))
    for row in await connection.fetch("SELECT reader, stream, error FROM held ORDER BY held_at LIMIT 20"):
        help_ = f"millrace release {row['reader']} {row['stream']}"
        findings.append(Finding("held stream", False, f"{row['error'][:200]}; when it is mended: {help_}"))
    return findings


class _Reading:
    """A connection and a store to read from, without a flusher."""

    def __init__(self, dsn: str) -> None:
        self._dsn, self._database = dsn, Database(dsn)

    async def __aenter__(self) -> tuple[Connection, PostgresEventStore]:
        self._connection = await connected(self._dsn)
        # An operator waits for a slow page rather than for the whole work once more.
        self._pool = await self._database.pool(size=2, seconds=LEADER_SECONDS)
        tail = EventTail()
        commits = GroupCommit(self._database.connect_writer, tail, lambda position, kinds, awaited: None)
        return self._connection, PostgresEventStore(self._pool, commits, EventMapper(), tail)

    async def __aexit__(self, *_: object) -> None:
        await self._pool.close()
        await self._connection.close()


def _projection(name: str) -> Projection:
    for projection in projections():
        if projection.name == name:
            return projection
    raise NoSuchReadModel(name)


def _broker(settings: Settings) -> str:
    if settings.rabbitmq_url is None:
        raise BrokerUnavailable("no broker is configured; set RABBITMQ_URL")
    return settings.rabbitmq_url.get_secret_value()
