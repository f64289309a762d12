"""What is read from the `progress` read model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic_core import from_json

from projections.projection import Connection

SELECT = """
SELECT p.id, p.version, p.type, p.status, p.progress, p.stage, p.stage_progress, p.metadata, p.user_id, p.parent_id,
       p.weight, p.checkpoint, p.result, p.error, p.error_detail, p.rate, p.stall_after, p.stalled_at, p.created_at,
       p.started_at, p.updated_at, p.completed_at, p.failed_at, p.cancelled_at, p.position, p.rule,
       (SELECT json_agg(json_build_object('name', name, 'weight', weight, 'status', status, 'progress', progress,
                                          'started_at', started_at, 'completed_at', completed_at) ORDER BY n)
          FROM progress_stages s WHERE s.tenant = p.tenant AND s.id = p.id) AS stages,
       (SELECT json_object_agg(status, n) FROM (SELECT status, count(*) AS n FROM progress_children c
                WHERE c.tenant = p.tenant AND c.id = p.id AND p.rule IS NOT NULL GROUP BY status) g) AS children
  FROM progress p
"""
LIST = f"""{SELECT}
 WHERE p.tenant = $1 AND p.position < $2 AND ($3::text IS NULL OR p.status = $3)
   AND ($4::text IS NULL OR p.user_id = $4) AND ($5::text IS NULL OR p.type = $5)
   AND ($6::text IS NULL OR p.parent_id = $6) AND ($7::boolean IS NULL OR (p.stalled_at IS NOT NULL) = $7)
 ORDER BY p.position DESC LIMIT $8
"""
JSON = ("metadata", "checkpoint", "result", "error_detail", "stages")


async def one_progress(connection: Connection, tenant: str, id: str) -> dict[str, Any] | None:
    """One progress as its aggregate would tell it."""
    row = await connection.fetchrow(f"{SELECT} WHERE p.tenant = $1 AND p.id = $2", tenant, id)
    return None if row is None else _read(dict(row))


async def listed_progress(
    connection: Connection, tenant: str, before: int, filters: Sequence[object], limit: int
) -> list[dict[str, Any]]:
    """Those of a tenant that were created before a position, newest first.

    Args:
        filters: status, user, type, parent, whether they stall; None for any.
    """
    return [_read(dict(row)) for row in await connection.fetch(LIST, tenant, before, *filters, limit)]


def _read(row: dict[str, Any]) -> dict[str, Any]:
    for name in JSON:
        row[name] = None if row[name] is None else from_json(row[name])
    rule, counted = row.pop("rule"), row.pop("children")
    row["children"] = None if rule is None else _counts(from_json(rule), {} if counted is None else from_json(counted))
    return row


def _counts(rule: dict[str, Any], counted: dict[str, int]) -> dict[str, Any]:
    if "total" in rule:
        return rule
    ended = {status: counted.get(status, 0) for status in ("completed", "failed", "cancelled")}
    total = sum(counted.values())
    return {**rule, "total": total, "open": total - sum(ended.values()), **ended}
