"""Questions to the rows of the dead letters."""

from __future__ import annotations

from typing import Any

from millrace.contracts.deadletter import DeadLetterFilter, ListDeadLetters, ListFailures
from projections.job_filters import Conditions
from projections.jobs_queries import COLUMNS, with_errors
from projections.projection import Connection

FOUND = f"""
SELECT {COLUMNS}, fingerprint
  FROM jobs JOIN (SELECT tenant, id, fingerprint FROM dead_letters WHERE {{conditions}}
                   ORDER BY position DESC LIMIT {{limit}}) d USING (tenant, id)
 ORDER BY position DESC
"""
GROUPS = """
SELECT fingerprint, name, type, message, frame, count(*) AS count,
       min(failed_at) AS first_at, max(failed_at) AS last_at,
       (array_agg(id ORDER BY failed_at DESC, position DESC))[1] AS job_id, count(*) OVER () AS total
  FROM dead_letters WHERE {conditions}
 GROUP BY fingerprint, name, type, message, frame ORDER BY count DESC, last_at DESC, fingerprint LIMIT {limit}
"""


async def one_dead_letter(connection: Connection, tenant: str, job_id: str) -> dict[str, Any] | None:
    """A dead letter with the errors of its attempts, or None."""
    row = await connection.fetchrow(FOUND.format(conditions="tenant = $1 AND id = $2", limit=1), tenant, job_id)
    return None if row is None else (await with_errors(connection, tenant, [dict(row)]))[0]


async def listed_dead_letters(
    connection: Connection, tenant: str, query: ListDeadLetters, before: int | None
) -> tuple[list[dict[str, Any]], int | None]:
    """A page of dead letters, newest job first, and the position to continue before, None on the last page."""
    conditions = _conditions(tenant, query)
    conditions.add("position < {}", before)
    sql = FOUND.format(conditions=conditions, limit=conditions.parameter(query.limit + 1))
    rows = await connection.fetch(sql, *conditions.values)
    page = [dict(row) for row in rows[: query.limit]]
    following = page[-1]["position"] if len(rows) > query.limit else None
    return await with_errors(connection, tenant, page), following


async def counted_dead_letters(connection: Connection, tenant: str, query: DeadLetterFilter) -> int:
    """How many dead letters a filter leaves."""
    conditions = _conditions(tenant, query)
    return int(await connection.fetchval(f"SELECT count(*) FROM dead_letters WHERE {conditions}", *conditions.values))


async def failure_groups(connection: Connection, tenant: str, query: ListFailures) -> dict[str, Any]:
    """The failures that dead letters have in common, the most frequent first, and how many there are."""
    conditions = _conditions(tenant, query)
    sql = GROUPS.format(conditions=conditions, limit=conditions.parameter(query.limit))
    groups = [dict(row) for row in await connection.fetch(sql, *conditions.values)]
    total = groups[0]["total"] if groups else 0
    for group in groups:
        group.pop("total")
    return {"groups": groups, "total": total}


def _conditions(tenant: str, query: DeadLetterFilter) -> Conditions:
    conditions = Conditions(tenant=tenant)
    conditions.add_all(
        {
            "name = {}": query.name,
            "queue = {}": query.queue,
            "fingerprint = {}": query.fingerprint,
            "failed_at >= {}": query.failed_after,
            "failed_at < {}": query.failed_before,
        }
    )
    return conditions
