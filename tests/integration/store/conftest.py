"""Every test of the store runs on PostgreSQL as a server of its own and on the embedded one."""

from __future__ import annotations

import asyncio
import tempfile
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from infra.embedded_postgres import DATABASE, EmbeddedPostgres
from infra.storage import Storage
from tests.support.stores import migrated, storing

TEMPLATE = "migrated"


@pytest.fixture(scope="session")
def embedded_server() -> Iterator[str]:
    """The embedded server, started by a thread that outlives the tests, for the server ends with it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="embedded-postgres")
    thread.start()
    with tempfile.TemporaryDirectory(prefix="millrace-store-") as folder:
        server = EmbeddedPostgres(Path(folder) / "data")
        try:
            dsn = asyncio.run_coroutine_threadsafe(server.start(), loop).result()
            asyncio.run_coroutine_threadsafe(made_template(dsn), loop).result()
            yield dsn
        finally:
            asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


async def made_template(server: str) -> None:
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(f"CREATE DATABASE {TEMPLATE}")
    finally:
        await connection.close()
    await migrated(server.replace(f"/{DATABASE}?", f"/{TEMPLATE}?"))


@pytest.fixture(params=["server", "embedded"])
async def dsn(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """An empty, migrated database."""
    if request.param == "server":
        yield request.getfixturevalue("fresh_database_url")
        return
    server: str = request.getfixturevalue("embedded_server")
    database = f"test_{uuid.uuid4().hex[:12]}"
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(f"CREATE DATABASE {database} TEMPLATE {TEMPLATE}")
        yield server.replace(f"/{DATABASE}?", f"/{database}?")
        await connection.execute(f"DROP DATABASE {database} WITH (FORCE)")
    finally:
        await connection.close()


@pytest.fixture
async def storage(dsn: str) -> AsyncIterator[Storage]:
    async with storing(dsn) as storage:
        yield storage


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A look at the database from the side."""
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()
