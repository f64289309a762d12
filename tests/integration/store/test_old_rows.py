"""Old rows go in pages, however many there are, and no young one goes with them."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from adapters.postgres.old_rows import KeptRows, OldRows
from infra.storage import Storage

AGE = 3_600.0
PAGE = 500
OLD, YOUNG = 4_003, 700
INSERTS: dict[KeptRows, str] = {
    "inbox": """
        INSERT INTO inbox (tenant, principal, command_id, body_hash, answer, position, recorded_at)
        SELECT 'acme', '', $2::text || n, '\\x00', '{}', n, clock_timestamp() - make_interval(secs => $1)
          FROM generate_series(1, $3::int) AS n""",
    "job_logs": """
        INSERT INTO job_logs (tenant, job_id, attempt, n, at, level, message, fields, recorded_at)
        SELECT 'acme', $2::text, 1, n, now(), 'info', 'm', '{}', clock_timestamp() - make_interval(secs => $1)
          FROM generate_series(1, $3::int) AS n""",
}
COUNTING = """
CREATE TABLE deletions (n bigint);
CREATE FUNCTION counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO deletions SELECT count(*) FROM gone; RETURN NULL; END $$;
CREATE TRIGGER counted AFTER DELETE ON {table} REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION counted();
"""


async def filled(connection: asyncpg.Connection[asyncpg.Record], table: KeptRows) -> None:
    """Old rows between young ones; the database counts what each statement deletes from then on."""
    for name, rows, ages in (("a", YOUNG, 0.5), ("b", OLD, 1.5), ("c", YOUNG, 0.0)):
        await connection.execute(INSERTS[table], AGE * ages, name, rows)
    await connection.execute(COUNTING.format(table=table))


@pytest.mark.parametrize("table", ["inbox", "job_logs"])
async def test_what_is_older_goes_in_pages_and_nothing_else(
    storage: Storage, connection: asyncpg.Connection[asyncpg.Record], dsn: str, table: KeptRows
) -> None:
    await filled(connection, table)
    rows = OldRows(storage.pool, lambda: asyncpg.connect(dsn), page=PAGE)
    assert await rows.remove(table, AGE) == OLD
    assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 2 * YOUNG
    deletions = [row["n"] for row in await connection.fetch("SELECT n FROM deletions")]
    assert (sum(deletions), max(deletions)) == (OLD, PAGE)
    assert await rows.remove(table, AGE) == 0


async def test_several_processes_at_once_remove_each_row_once(
    storage: Storage, connection: asyncpg.Connection[asyncpg.Record], dsn: str
) -> None:
    await filled(connection, "inbox")
    rows = [OldRows(storage.pool, lambda: asyncpg.connect(dsn), page=PAGE) for _ in range(3)]
    assert sum(await asyncio.gather(*(each.remove("inbox", AGE) for each in rows))) == OLD
    assert await connection.fetchval("SELECT count(*) FROM inbox") == 2 * YOUNG
