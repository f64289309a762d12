"""Migrations: forward only, once, and never past a release that does not know the schema."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import asyncpg
import pytest
from eventsourcing.compressor import ZlibCompressor

from adapters.postgres.database import Connection, Database
from adapters.postgres.mapper import EventMapper
from adapters.postgres.rebuild import rebuild
from infra.bootstrap import build
from infra.maintenance import migrate_database, rebuild_read_model
from infra.migrate import MIGRATIONS, NewerDatabase, migrate
from infra.settings import Settings
from projections.registry import projections
from tests.controls.clock import NOW
from tests.support.eventually import eventually
from tests.support.stores import storing
from tests.support.systems import TENANT, asked, claimed, enqueued, history, job, reported, system, told

ALL = [file.stem for file in sorted(MIGRATIONS.glob("*.sql"))]
TABLES = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
WAITS_FOR_JOBS = """
SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database
 WHERE NOT granted AND relation = 'jobs_v1'::regclass AND d.datname = current_database()
"""


@pytest.fixture
def fresh_database_url(empty_database_url: str) -> str:
    return empty_database_url


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


async def test_dead_letters_of_a_release_without_their_rows_are_grouped_after_the_migration(
    connection: Connection, fresh_database_url: str
) -> None:
    async with system(fresh_database_url) as before:
        for _ in range(2):
            await enqueued(before, max_attempts=1)
            (grant,) = await claimed(before)
            await reported(before, grant, "failed")
        await job(before, grant["job_id"])
        wanted = await asked(before, "deadletter.groups", {})
    await connection.execute("DROP VIEW dead_letters; DROP TABLE dead_letters_v1")
    await connection.execute("DELETE FROM migrations WHERE name = '0050_dead_letters'")
    assert await migrate_database(fresh_database_url) == ["0050_dead_letters"]
    async with system(fresh_database_url) as after:
        assert await asked(after, "deadletter.groups", {}) == wanted
        assert wanted["groups"][0]["count"] == 2
    rebuilt = await rebuild_read_model(fresh_database_url, "jobs", lambda done, total: None, True)
    assert rebuilt.equal


async def test_jobs_of_a_release_without_their_keys_have_them_after_the_migration(
    connection: Connection, fresh_database_url: str
) -> None:
    async with system(fresh_database_url) as before:
        for number in range(6):
            job_id = await enqueued(before, key=("acme", "globex", None)[number % 3])
        for grant in await claimed(before, slots=2):
            await reported(before, grant)
        await told(before, "job.change", {"job_id": job_id, "priority": 5})
        await job(before, job_id)
        wanted = await asked(before, "job.list", {})
    await connection.execute("DROP VIEW jobs")
    await connection.execute("ALTER TABLE jobs_v1 DROP COLUMN key")
    await connection.execute("DELETE FROM migrations WHERE name = '0170_key_of_jobs'")
    assert await migrate_database(fresh_database_url) == ["0170_key_of_jobs"]
    async with system(fresh_database_url) as after:
        assert await asked(after, "job.list", {}) == wanted
        late = await enqueued(after, key="acme")
        assert (await job(after, late))["key"] == "acme"
        found = (await asked(after, "job.list", {"key": "acme"}))["jobs"]
        assert [each["key"] for each in found] == ["acme"] * 3
    rebuilt = await rebuild_read_model(fresh_database_url, "jobs", lambda done, total: None, True)
    assert rebuilt.equal


async def test_a_job_whose_events_are_compressed_has_its_key_after_the_rebuild_that_the_migration_calls_for(
    connection: Connection, fresh_database_url: str
) -> None:
    mapper = EventMapper(compressor=ZlibCompressor())
    built = await build(Settings(), fresh_database_url, mapper=mapper)
    built.start()
    job_id = await enqueued(built, key="acme")
    await job(built, job_id)
    await built.stop()
    await connection.execute("DROP VIEW jobs")
    await connection.execute("ALTER TABLE jobs_v1 DROP COLUMN key")
    await connection.execute("DELETE FROM migrations WHERE name = '0170_key_of_jobs'")
    assert await migrate_database(fresh_database_url) == ["0170_key_of_jobs"]
    assert await connection.fetchval("SELECT key FROM jobs WHERE id = $1", job_id) is None
    (projection,) = [each for each in projections() if each.name == "jobs"]
    async with storing(fresh_database_url, mapper) as storage:
        await rebuild(connection, storage.store, projection, lambda done, total: None, verify=False)
    assert await connection.fetchval("SELECT key FROM jobs WHERE id = $1", job_id) == "acme"


async def test_a_process_that_starts_while_a_rebuild_switches_leaves_the_views_on_the_new_version(
    connection: Connection, fresh_database_url: str
) -> None:
    """The old version's tables do not know the newest jobs any more, and whoever waits for the position is told to read
    them."""
    async with system(fresh_database_url, ["api"]) as running:
        job_id = await enqueued(running)
        async with connection.transaction():
            # What a projector holds while it writes; whoever starts waits for it with the old version in hand.
            await connection.execute("LOCK TABLE jobs_v1 IN ROW EXCLUSIVE MODE")
            starting = asyncio.create_task(migrate_database(fresh_database_url))
            await eventually(lambda: connection.fetchval(WAITS_FOR_JOBS))
            rebuilt = await rebuild_read_model(fresh_database_url, "jobs", lambda done, total: None, False)
        assert await starting == []
        assert rebuilt.version == 2
        assert (await job(running, job_id))["status"] == "pending"
    again = await rebuild_read_model(fresh_database_url, "jobs", lambda done, total: None, True)
    assert again.equal


async def test_a_migration_that_fails_leaves_nothing_behind(connection: Connection) -> None:
    await connection.execute("CREATE TABLE snapshots (in_the_way boolean)")
    with pytest.raises(asyncpg.DuplicateTableError):
        await migrate(connection, projections())
    assert await connection.fetchval("SELECT to_regclass('stored_events')") is None
    await connection.execute("DROP TABLE snapshots")
    assert await migrate(connection, projections()) == ALL


async def test_a_job_that_waited_in_the_first_release_is_granted_with_its_origin(
    connection: Connection, fresh_database_url: str
) -> None:
    await first_release_with_a_ready_job(connection)
    assert await migrate(connection, projections()) == ALL[1:]
    async with system(fresh_database_url) as after:
        (grant,) = await claimed(after)
        assert (grant["job_id"], grant["attempt"], grant["data"]) == ("11", 1, {"file": "a-17.wav"})
        events = await after.storage.store.read(0, 10)
    assert [event.event_type for event in events] == ["job.enqueued", "job.started"]
    assert {event.metadata.correlation_id for event in events} == {"c-31"}


async def first_release_with_a_ready_job(connection: Connection) -> None:
    """What 0.1.0 leaves behind with one job in the queue `default`."""
    await connection.execute("CREATE TABLE migrations (name text PRIMARY KEY, applied_at timestamptz DEFAULT now())")
    await connection.execute((MIGRATIONS / f"{ALL[0]}.sql").read_text())
    await connection.execute("INSERT INTO migrations (name) VALUES ($1)", ALL[0])
    state = {
        "timestamp": NOW.isoformat(), "name": "transcribe", "data": {"file": "a-17.wav"}, "queue": "default",
        "priority": 0, "max_attempts": 3, "timeout": 300.0, "retry": {"kind": "none"}, "run_at": None,
        "queue_priority": 0,
    }  # fmt: skip
    await connection.execute(
        "INSERT INTO stored_events VALUES ($1, 1, $2, $3, 1, gen_random_uuid(), 'job.enqueued', 'job', '11', $4, NULL,"
        " 'c-31', 'm-11', NULL, now())",
        f"job:{TENANT}:11", "job.enqueued", json.dumps(state).encode(), TENANT,
    )  # fmt: skip
    await connection.execute("UPDATE store SET head = 1")
    task = {
        "name": "transcribe", "data": {"file": "a-17.wav"}, "queue": "default", "priority": 0, "attempts": 1,
        "max_attempts": 3, "timeout": 300, "created_at": NOW.isoformat(), "company": None, "correlation_id": "c-31",
        "traceparent": None,
    }  # fmt: skip
    await connection.execute(
        "INSERT INTO ready VALUES ($1, $2, '11', 'default', 0, 1, 1, 1, $3)",
        f"job:{TENANT}:11", TENANT, json.dumps(task),
    )  # fmt: skip


async def test_the_role_for_reports_reads_the_read_models_and_nothing_else(
    fresh_database_url: str, connection: Connection
) -> None:
    async with system(fresh_database_url) as running:
        await told(running, "progress.create", {"id": "p"})
        await asked(running, "progress.get", {"progress_id": "p"})
        sent = await told(running, "notification.send", {"user_id": "kim", "title": "t"})
        await asked(running, "notification.list", {}, sent.position)
        rebuilt = await rebuild_read_model(fresh_database_url, "progress", lambda done, total: None, verify=False)
        assert rebuilt.events > 0
    await connection.execute("SET ROLE millrace_reader")
    for view in (view for projection in projections() for view in projection.views):
        await connection.execute(f"SELECT * FROM {view} LIMIT 1")
    assert await connection.fetchval("SELECT id FROM progress") == "p"
    assert await connection.fetchval("SELECT title FROM notifications") == "t"
    for forbidden in ("SELECT * FROM stored_events", "DELETE FROM progress", "SELECT * FROM inbox"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(forbidden)
