"""The rows `dead_letters` of the `jobs` read model: why each dead-lettered job failed, and with which others."""

from __future__ import annotations

from collections.abc import Sequence

from millrace.contracts.failures import failure_of
from projections.projection import Connection

MIGRATION = "0050_dead_letters"
PAGE = 1_000
CREATE = """
CREATE TABLE IF NOT EXISTS dead_letters_v{v} (
    tenant      text        NOT NULL,
    id          text        NOT NULL,
    position    bigint      NOT NULL,
    fingerprint text        NOT NULL,
    name        text        NOT NULL,
    queue       text        NOT NULL,
    type        text        NOT NULL,
    message     text        NOT NULL,
    frame       text        NOT NULL,
    failed_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX IF NOT EXISTS dead_letters_v{v}_position_idx ON dead_letters_v{v} (tenant, position);
CREATE INDEX IF NOT EXISTS dead_letters_v{v}_fingerprint_idx ON dead_letters_v{v} (tenant, fingerprint, position);
"""
LOST = """
DELETE FROM dead_letters_v{v} WHERE (tenant, id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
"""
FAILURES = """
SELECT j.tenant, j.id, j.position, j.name, j.queue, j.failed_at, e.type, e.message, e.traceback
  FROM unnest($1::text[], $2::text[]) AS k(tenant, id)
  JOIN jobs_v{v} j ON j.tenant = k.tenant AND j.id = k.id AND j.dead_lettered
  JOIN LATERAL (SELECT type, message, traceback FROM job_errors_v{v}
                 WHERE tenant = j.tenant AND job_id = j.id ORDER BY attempt DESC LIMIT 1) e ON true
"""
INSERT = """
INSERT INTO dead_letters_v{v} (tenant, id, position, fingerprint, name, queue, type, message, frame, failed_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                     $9::text[], $10::timestamptz[])
"""
DEAD = "SELECT tenant, id FROM jobs_v{v} WHERE dead_lettered"
# Whoever fills the tables has locked this row, so nothing changes in between.
VERSIONS = "SELECT DISTINCT version FROM readers WHERE name = 'jobs' OR name LIKE 'jobs@%'"
LOCK = "SELECT 1 FROM readers WHERE name = 'jobs' OR name LIKE 'jobs@%' ORDER BY name FOR UPDATE"


async def renew(connection: Connection, version: int, jobs: Sequence[tuple[str, str]]) -> None:
    """Makes the rows of these jobs, (tenant, id), what the version's `jobs` and `job_errors` call for."""
    keys = [list(column) for column in zip(*jobs, strict=True)]
    await connection.execute(LOST.format(v=version), *keys)
    rows = []
    for row in await connection.fetch(FAILURES.format(v=version), *keys):
        failure = failure_of(row["name"], row["type"], row["message"], row["traceback"])
        rows.append(
            (row["tenant"], row["id"], row["position"], failure.fingerprint, row["name"], row["queue"], row["type"],
             failure.message, failure.frame, row["failed_at"])
        )  # fmt: skip
    if rows:
        await connection.execute(INSERT.format(v=version), *zip(*rows, strict=True))


async def complete(connection: Connection) -> None:
    """Fills the rows for jobs that a release without them had put among the dead letters."""
    async with connection.transaction():
        await connection.execute(LOCK)
        for row in await connection.fetch(VERSIONS):
            version = row["version"]
            dead = [(each["tenant"], each["id"]) for each in await connection.fetch(DEAD.format(v=version))]
            for start in range(0, len(dead), PAGE):
                await renew(connection, version, dead[start : start + PAGE])
