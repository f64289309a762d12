"""Questions to the `jobs` read model."""

from __future__ import annotations

from collections import Counter
from typing import Any

from asyncpg import Record
from pydantic_core import from_json

from millrace.contracts.job import ListJobs
from projections.job_filters import DUE, STATUS, job_conditions
from projections.projection import Connection

COLUMNS = f"""id, name, data::text AS data, {STATUS} AS status,
       priority, queue, attempts, max_attempts, timeout, created_at, run_at, started_at, completed_at, failed_at,
       result::text AS result, error, dead_lettered, worker, version, key, position"""
ONE = f"SELECT {COLUMNS} FROM jobs WHERE tenant = $1 AND id = $2"
NEWEST = f"""
{ONE} AND version = (
    SELECT originator_version FROM stored_events WHERE originator_id = $3 ORDER BY originator_version DESC LIMIT 1
)
"""
HEARTBEAT = """
SELECT details::text AS details, details_at AS at FROM leases
 WHERE tenant = $1 AND job_id = $2 AND details IS NOT NULL
"""
ERRORS = """
SELECT job_id, attempt, type, message, traceback, at FROM job_errors
 WHERE tenant = $1 AND job_id = ANY ($2::text[]) ORDER BY job_id, attempt
"""
# One statement, so that a job is not missing from both figures because it moved meanwhile.
COUNTS = f"""
WITH due AS MATERIALIZED (
    SELECT queue, count(*) AS n FROM jobs
     WHERE tenant = $1 AND ($2::text IS NULL OR queue = $2) AND {DUE} GROUP BY queue)
SELECT queue, status, n FROM job_counts WHERE tenant = $1 AND ($2::text IS NULL OR queue = $2)
UNION ALL SELECT queue, 'pending', n FROM due UNION ALL SELECT queue, 'delayed', -n FROM due
"""
WORKERS = """
SELECT count(DISTINCT worker) FROM workers
 WHERE tenant IN ($1, '*') AND NOT stopped AND seen_at > clock_timestamp() - make_interval(secs => $2)
"""


async def one_job(connection: Connection, tenant: str, job_id: str) -> dict[str, Any] | None:
    """A job with the errors of its attempts and what the running one last told of itself, or None."""
    return await _whole(connection, tenant, await connection.fetchrow(ONE, tenant, job_id))


async def one_current_job(connection: Connection, tenant: str, job_id: str, stream: str) -> dict[str, Any] | None:
    """A job as `one_job` has it, if its row follows from the newest event of its stream; else None."""
    return await _whole(connection, tenant, await connection.fetchrow(NEWEST, tenant, job_id, stream))


async def _whole(connection: Connection, tenant: str, row: Record | None) -> dict[str, Any] | None:
    if row is None:
        return None
    job_id = row["id"]
    job = (await with_errors(connection, tenant, [dict(row)]))[0]
    beat = await connection.fetchrow(HEARTBEAT, tenant, job_id) if job["status"] == "processing" else None
    job["heartbeat"] = None if beat is None else {"at": beat["at"], "details": from_json(beat["details"])}
    return job


async def listed_jobs(
    connection: Connection, tenant: str, query: ListJobs, before: int | None
) -> tuple[list[dict[str, Any]], int | None]:
    """A page of jobs, newest first, and the position to continue before, None on the last page."""
    conditions = job_conditions(tenant, query)
    conditions.add("position < {}", before)
    limit = conditions.parameter(query.limit + 1)
    rows = await connection.fetch(
        f"SELECT {COLUMNS} FROM jobs WHERE {conditions} ORDER BY position DESC LIMIT {limit}", *conditions.values
    )
    page = [dict(row) for row in rows[: query.limit]]
    following = page[-1]["position"] if len(rows) > query.limit else None
    return await with_errors(connection, tenant, page), following


async def workers_at_work(connection: Connection, tenant: str, lease: float) -> int:
    """The workers that look for the tenant's jobs, seen within one lease."""
    return int(await connection.fetchval(WORKERS, tenant, lease))


async def queue_counts(connection: Connection, tenant: str, queue: str | None = None) -> dict[str, Counter[str]]:
    """Jobs by the status that they are shown with in each queue, or in one."""
    counts: dict[str, Counter[str]] = {}
    for row in await connection.fetch(COUNTS, tenant, queue):
        counts.setdefault(row["queue"], Counter())[row["status"]] += row["n"]
    return counts


async def with_errors(connection: Connection, tenant: str, jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The jobs as they go over the wire: values decoded, and the errors of their attempts added."""
    failed = [job["id"] for job in jobs if job["error"] is not None or job["attempts"] > 1]
    errors: dict[str, list[dict[str, Any]]] = {}
    for row in await connection.fetch(ERRORS, tenant, failed) if failed else []:
        error = dict(row)
        errors.setdefault(error.pop("job_id"), []).append(error)
    for job in jobs:
        job.pop("position")
        job["data"] = from_json(job["data"])
        job["result"] = None if job["result"] is None else from_json(job["result"])
        job["errors"] = errors.get(job["id"], [])
        job["error_detail"] = job["errors"][-1] if job["error"] is not None and job["errors"] else None
    return jobs
