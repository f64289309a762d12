"""The queries about jobs in memory."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from millrace.contracts import job as job_contract
from millrace.contracts import why as why_contract
from millrace.contracts.job_graph import GetGraph
from millrace.contracts.job_logs import GetLogs
from millrace.testing.circuits import Circuits
from millrace.testing.claims import Claims
from millrace.testing.job_graph import job_graph
from millrace.testing.job_logs import MemoryJobLogs
from millrace.testing.job_state import JobState
from millrace.testing.log import MemoryLog, Stream
from millrace.testing.query import Query, position_before
from millrace.testing.refusals import Refusal
from millrace.testing.stats import detailed

STATUSES = ("pending", "processing", "completed", "failed", "delayed", "cancelled")


class JobQueries:
    """Answers from the states of jobs in memory."""

    def __init__(self, log: MemoryLog, claims: Claims, job_logs: MemoryJobLogs, circuits: Circuits) -> None:
        self._log, self._claims, self._job_logs, self._circuits = log, claims, job_logs, circuits

    def routes(self) -> dict[str, Query]:
        return {
            "job.get": Query(job_contract.GetJob, self._job),
            "job.list": Query(job_contract.ListJobs, self._jobs),
            "job.why": Query(why_contract.WhyWaiting, self._why_waiting),
            "job.graph": Query(GetGraph, self._graph),
            "job.stats": Query(job_contract.JobStats, self._stats),
            "job.logs": Query(GetLogs, self._job_logs.read),
        }

    def _job(self, tenant: str, query: job_contract.GetJob) -> dict[str, Any]:
        return {"job": self._view(tenant, self._found(tenant, query.job_id))}

    def _view(self, tenant: str, job: JobState) -> dict[str, Any]:
        return job.view() | {"status": self._claims.status(tenant, job)}

    def _graph(self, tenant: str, query: GetGraph) -> dict[str, Any]:
        if Stream("job", tenant, query.job_id) not in self._log.states:
            raise Refusal("not-found", f"there is no job {query.job_id!r}")
        return job_graph(self._log, tenant, query, self._claims.status)

    def _jobs(self, tenant: str, query: job_contract.ListJobs) -> dict[str, Any]:
        before = position_before(query.cursor, self._log)
        wanted = {
            "queue": query.queue,
            "name": query.name,
            "key": query.key,
            "dead_lettered": query.dead_lettered,
        }
        filters = {name: value for name, value in wanted.items() if value is not None}
        found = [
            job
            for job in self._all_jobs(tenant)
            if job.first_position < before
            and all(getattr(job, name) == value for name, value in filters.items())
            and query.status in (None, self._claims.status(tenant, job))
            and self._searched(job, query)
            and query.waiting in (None, self._why_of(tenant, job).code)
        ]
        found.sort(key=lambda job: -job.first_position)
        page = found[: query.limit]
        cursor = str(page[-1].first_position) if len(found) > query.limit else None
        return {"jobs": [self._view(tenant, job) for job in page], "cursor": cursor}

    def _searched(self, job: JobState, query: job_contract.ListJobs) -> bool:
        finished = job.ended_at if job.status in ("completed", "failed") else None
        if not _within(job.created_at, query.created_after, query.created_before):
            return False
        if not _within(finished, query.finished_after, query.finished_before):
            return False
        if query.error is not None:
            wanted = set(job_contract.words_of(query.error))
            if not any(wanted <= set(job_contract.words_of(f"{e['type']} {e['message']}")) for e in job.errors):
                return False
        return True

    def _why_waiting(self, tenant: str, query: why_contract.WhyWaiting) -> dict[str, Any]:
        return self._why_of(tenant, self._found(tenant, query.job_id)).model_dump()

    def _why_of(self, tenant: str, job: JobState) -> why_contract.Why:
        return why_contract.why(job.view(), self._claims.standing(tenant, job))

    def _stats(self, tenant: str, query: job_contract.JobStats) -> dict[str, Any]:
        jobs = [job for job in self._all_jobs(tenant) if query.queue in (None, job.queue)]
        counts = Counter(self._claims.status(tenant, job) for job in jobs)
        stats = {status: counts[status] for status in STATUSES} | {"workers": self._claims.workers(tenant)}
        if not query.details:
            return stats
        circuits = [each.to_wire() for each in self._circuits.all(tenant) if each.state != "closed"]
        told = {"circuits": [{name: each[name] for name in ("name", "state", "reason", "until")} for each in circuits]}
        return stats | told | detailed(self._log, self._claims, tenant, query.queue, jobs)

    def _found(self, tenant: str, id: str) -> JobState:
        job = self._log.states.get(Stream("job", tenant, id))
        if not isinstance(job, JobState) or job.removed:
            raise Refusal("not-found", f"there is no job {id!r}")
        return job

    def _all_jobs(self, tenant: str) -> list[JobState]:
        states = ((stream, state) for stream, state in self._log.states.items() if stream.tenant == tenant)
        return [state for _, state in states if isinstance(state, JobState) and not state.removed]


def _within(time: datetime | None, after: datetime | None, before: datetime | None) -> bool:
    """Whether a time lies in a range; what has no time lies in the range without bounds only."""
    if time is None:
        return after is None and before is None
    return (after is None or time >= after) and (before is None or time < before)
