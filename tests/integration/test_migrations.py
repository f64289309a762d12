"""Migrations: forward only, once, and never past a release that does not know the schema."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from adapters.postgres.database import Connection, Database
from infra.maintenance import migrate_database
from infra.migrate import MIGRATIONS, NewerDatabase, migrate
from projections.registry import projections
from tests.support.systems import asked, enqueued, history, job, system

ALL = [file.stem for file in sorted(MIGRATIONS.glob("*.sql"))]
TABLES = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"


@pytest.fixture
async def connection(fresh_database_url: str) -> AsyncIterator[Connection]:
    connection = await Database(fresh_database_url).connect()
    yield connection
    await connection.close()


async def test_each_migration_is_applied_once(connection: Connection) -> None:
    assert await migrate(connection, projections()) == ALL
    tables = await connection.fetchval(TABLES)
    assert await migrate(connection, projections()) == []
    assert await connection.fetchval(TABLES) == tables


async def test_processes_that_migrate_at_once_wait_for_each_other(fresh_database_url: str) -> None:
    applied = await asyncio.gather(*(migrate_database(fresh_database_url) for _ in range(5)))
    assert sorted(applied) == [[], [], [], [], ALL]


async def test_a_database_of_a_newer_release_is_left_alone(connection: Connection) -> None:
    await migrate(connection, projections())
    await connection.execute("INSERT INTO migrations (name) VALUES ('9999_from_the_future')")
    with pytest.raises(NewerDatabase, match="9999_from_the_future"):
        await migrate(connection, projections())
    await connection.execute("DELETE FROM migrations WHERE name = '9999_from_the_future'")
    assert await migrate(connection, projections()) == []


async def test_what_a_database_holds_survives_a_migration(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as before:
        job_id = await enqueued(before, data={"file": "a-17.wav"})
        await job(before, job_id)
    assert await migrate_database(fresh_database_url) == []
    async with system(fresh_database_url) as after:
        assert (await job(after, job_id))["data"] == {"file": "a-17.wav"}
        assert await history(after, job_id) == ["job.enqueued"]
        assert after.storage.epoch == before.storage.epoch
        assert (await asked(after, "job.stats", {}))["pending"] == 1


async def test_a_read_model_that_is_new_to_a_database_begins_with_the_first_event(
    connection: Connection, fresh_database_url: str
) -> None:
    """As it is after an upgrade that brings a read model along."""
    async with system(fresh_database_url, ["api"]) as before:
        job_id = await enqueued(before)
    await connection.execute("DELETE FROM readers WHERE name = 'jobs'")
    await connection.execute("DROP VIEW jobs, job_errors, job_counts; DROP TABLE jobs_v1, job_errors_v1, job_counts_v1")
    async with system(fresh_database_url) as after:
        assert (await job(after, job_id))["status"] == "pending"


async def test_a_migration_that_fails_leaves_nothing_behind(connection: Connection) -> None:
    await connection.execute("CREATE TABLE snapshots (in_the_way boolean)")
    with pytest.raises(asyncpg.DuplicateTableError):
        await migrate(connection, projections())
    assert await connection.fetchval("SELECT to_regclass('stored_events')") is None
    await connection.execute("DROP TABLE snapshots")
    assert await migrate(connection, projections()) == ALL
