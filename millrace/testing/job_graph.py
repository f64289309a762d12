"""Which jobs come after which, in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from millrace.contracts.job_graph import GetGraph
from millrace.testing.job_state import JobState
from millrace.testing.log import MemoryLog


def job_graph(log: MemoryLog, tenant: str, query: GetGraph, status: Callable[[str, JobState], str]) -> dict[str, Any]:
    """The jobs around one, the nearest first, and the links between them.

    Args:
        status: what a tenant's job is shown with.
    """
    jobs = {
        stream.id: job for stream, job in log.states.items() if stream.tenant == tenant and isinstance(job, JobState)
    }
    links = sorted((job.id, parent, job.on_parent_failure) for job in jobs.values() for parent in job.after or ())
    found: dict[str, None] = {query.job_id: None}
    told: dict[tuple[str, str], str | None] = {}
    border, complete = {query.job_id}, True
    while border:
        near = [link for link in links if (link[0] in border or link[1] in border) and (link[1], link[0]) not in told]
        border = set()
        for child, parent, policy in near:
            new = {child, parent} - found.keys()
            if len(found) + len(new) > query.limit:
                complete = False
                continue
            found.update(dict.fromkeys(sorted(new)))
            border |= new
            told[parent, child] = policy
    return {
        "jobs": [_told(tenant, job_id, jobs.get(job_id), status) for job_id in found],
        "links": [
            {"parent": parent, "child": child, "on_parent_failure": policy} for (parent, child), policy in told.items()
        ],
        "complete": complete,
    }


def _told(tenant: str, job_id: str, job: JobState | None, status: Callable[[str, JobState], str]) -> dict[str, Any]:
    if job is None or job.removed:
        return {"job_id": job_id, "name": None, "status": None}
    return {"job_id": job_id, "name": job.name, "status": status(tenant, job)}
