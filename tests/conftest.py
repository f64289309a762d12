"""The real servers that tests run on. `scripts/test.sh` puts their addresses into the environment."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, urlsplit, urlunsplit

import httpx
import psycopg
import pytest
from psycopg import sql

DEADLINE = 60.0  # seconds for one administrative request

# Suites are not test modules by name; their assertions are to be explained all the same.
pytest.register_assert_rewrite("adapters.contracts")


def address(variable: str) -> str:
    """The address of a server; its absence is a failure, because a skipped test proves nothing."""
    value = os.environ.get(variable)
    if not value:
        pytest.fail(f"{variable} is not set: run make services, then make test", pytrace=False)
    return value


def with_path(url: str, path: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{path}"))


class Databases:
    """Makes and drops databases on the PostgreSQL server of the tests."""

    def __init__(self, url: str) -> None:
        self.url = url

    def execute(self, statement: sql.Composed, url: str | None = None) -> None:
        with psycopg.connect(url or self.url, autocommit=True, connect_timeout=round(DEADLINE)) as connection:
            connection.execute(statement)

    def is_durable(self) -> bool:
        with psycopg.connect(self.url, autocommit=True, connect_timeout=round(DEADLINE)) as connection:
            return connection.execute("SHOW fsync").fetchone() == ("on",)

    def create(self) -> str:
        """Returns the address of a new, empty database."""
        name = f"millrace_test_{uuid.uuid4().hex[:12]}"
        self.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        return with_path(self.url, name)

    def copy(self, template: str) -> str:
        """Returns the address of a new database like the one at `template`, which nobody may be using, but for the
        epoch of its log."""
        names = [f"millrace_test_{uuid.uuid4().hex[:12]}", urlsplit(template).path.removeprefix("/")]
        copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*map(sql.Identifier, names))
        # Files are copied faster than pages are logged, but for the checkpoints where these go to the disk.
        self.execute(copy if self.is_durable() else copy + sql.SQL(" STRATEGY file_copy"))
        url = with_path(self.url, names[0])
        self.execute(sql.SQL("UPDATE store SET epoch = {}").format(sql.Literal(uuid.uuid4().hex[:12])), url)
        return url

    def drop(self, url: str) -> None:
        """Removes a database made by `create`, ending the sessions that are still open in it."""
        name = urlsplit(url).path.removeprefix("/")
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def databases() -> Databases:
    server = Databases(address("DATABASE_URL"))
    try:
        server.execute(sql.SQL("SELECT {}").format(sql.Literal(1)))
    except psycopg.OperationalError:
        pytest.fail("PostgreSQL does not answer at DATABASE_URL: run make services", pytrace=False)
    return server


@pytest.fixture(scope="session")
def template_url(databases: Databases) -> Iterator[str]:
    """A migrated database that nobody uses, for others to be copied from."""
    from tests.support.stores import migrated

    url = databases.create()
    # In a thread: tests have loops of their own in this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, migrated(url)).result()
    yield url
    databases.drop(url)


@pytest.fixture(scope="session")
def database_url(databases: Databases, template_url: str) -> Iterator[str]:
    """A migrated database of this test session's own."""
    url = databases.copy(template_url)
    yield url
    databases.drop(url)


@pytest.fixture
def fresh_database_url(databases: Databases, template_url: str) -> Iterator[str]:
    """A migrated database for one test; most tests share `database_url` and use a tenant of their own."""
    url = databases.copy(template_url)
    yield url
    databases.drop(url)


@pytest.fixture
def empty_database_url(databases: Databases) -> Iterator[str]:
    """A database for one test in which nothing is yet."""
    url = databases.create()
    yield url
    databases.drop(url)


@pytest.fixture(scope="session")
def rabbitmq_url() -> Iterator[str]:
    """A virtual host of this session's own, or the given one where no management interface answers."""
    url = address("RABBITMQ_URL")
    user = urlsplit(url).username or "guest"
    vhost = f"test-{uuid.uuid4().hex[:12]}"
    management = urlsplit(os.environ.get("RABBITMQ_MANAGEMENT_URL", ""))
    authority = httpx.BasicAuth(management.username or user, management.password or urlsplit(url).password or "guest")
    base = f"{management.scheme}://{management.hostname}:{management.port}/api"
    with httpx.Client(base_url=base, auth=authority, timeout=DEADLINE, trust_env=False) as api:
        if not management.hostname or not answers(api):
            yield url
            return
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        api.put(f"/vhosts/{vhost}").raise_for_status()
        for name in {user, management.username or user}:
            api.put(f"/permissions/{vhost}/{quote(name, safe='')}", json=everything).raise_for_status()
        yield with_path(url, vhost)
        api.delete(f"/vhosts/{vhost}").raise_for_status()


def answers(api: httpx.Client) -> bool:
    try:
        return api.get("/whoami").is_success
    except httpx.TransportError:
        return False


@pytest.fixture(scope="session")
def redis_url() -> str:
    return address("REDIS_URL")
