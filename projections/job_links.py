"""Which jobs come after which: a table of the `jobs` read model, and the graph around one job."""

from __future__ import annotations

from typing import Any

from projections.job_filters import STATUS
from projections.projection import Connection

CREATE = """
CREATE TABLE IF NOT EXISTS job_parents_v{v} (
    tenant            text NOT NULL,
    job_id            text NOT NULL,
    parent_id         text NOT NULL,
    on_parent_failure text NOT NULL,
    PRIMARY KEY (tenant, job_id, parent_id)
);
CREATE INDEX IF NOT EXISTS job_parents_v{v}_parent_idx ON job_parents_v{v} (tenant, parent_id);
"""
INSERT = "INSERT INTO job_parents_v{v} SELECT * FROM unnest($1::job_parents_v{v}[]) ON CONFLICT DO NOTHING"
NEIGHBOURS = """
SELECT job_id, parent_id, on_parent_failure FROM job_parents WHERE tenant = $1 AND job_id = ANY ($2::text[])
UNION
SELECT job_id, parent_id, on_parent_failure FROM job_parents WHERE tenant = $1 AND parent_id = ANY ($2::text[])
 ORDER BY job_id, parent_id LIMIT $3
"""
JOBS = f"SELECT id, name, {STATUS} AS status FROM jobs WHERE tenant = $1 AND id = ANY ($2::text[])"
LINKS_FOR_EACH_JOB = 20


async def job_graph(connection: Connection, tenant: str, job_id: str, limit: int) -> dict[str, Any]:
    """The jobs around one, `limit` at most, the nearest first, and the links between them."""
    found: dict[str, None] = {job_id: None}
    links: dict[tuple[str, str], str] = {}
    border, complete = [job_id], True
    most = limit * LINKS_FOR_EACH_JOB
    while border and complete:
        rows = await connection.fetch(NEIGHBOURS, tenant, border, most - len(links) + 1)
        border = []
        for child, parent, policy in rows:
            new = [each for each in (child, parent) if each not in found]
            if len(found) + len(new) > limit or len(links) >= most:
                complete = False
                continue
            found.update(dict.fromkeys(new))
            border += new
            links[parent, child] = policy
    known = {row["id"]: row for row in await connection.fetch(JOBS, tenant, list(found))}
    return {
        "jobs": [
            {"job_id": each, "name": known[each]["name"], "status": known[each]["status"]}
            if each in known
            else {"job_id": each, "name": None, "status": None}
            for each in found
        ],
        "links": [
            {"parent": parent, "child": child, "on_parent_failure": policy} for (parent, child), policy in links.items()
        ],
        "complete": complete,
    }
