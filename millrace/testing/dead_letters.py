"""The queries about dead letters, in memory."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from millrace.contracts import deadletter as contract
from millrace.contracts.failures import Failure, failure_of
from millrace.contracts.json_patch import PatchFailed, patched
from millrace.testing.job_state import JobState
from millrace.testing.log import TYPES, MemoryLog, Recorded, Stream
from millrace.testing.query import Query, position_before
from millrace.testing.refusals import Refusal

REPAIRS = ("job.revived", "job.edited", "job.edit_undone", "job.retry_undone")


class DeadLetterQueries:
    """Answers from the log and the states in memory."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    def routes(self) -> dict[str, Query]:
        return {
            "deadletter.list": Query(contract.ListDeadLetters, self._list),
            "deadletter.groups": Query(contract.ListFailures, self._groups),
            "deadletter.get": Query(contract.GetDeadLetter, self._get),
            "deadletter.preview": Query(contract.PreviewEdit, self._preview),
        }

    def _list(self, tenant: str, query: contract.ListDeadLetters) -> dict[str, Any]:
        before = position_before(query.cursor, self._log)
        found = [job for job in self._dead(tenant, query) if job.first_position < before]
        page = found[: query.limit]
        cursor = str(page[-1].first_position) if len(found) > query.limit else None
        return {"jobs": [_view(job) for job in page], "cursor": cursor}

    def _groups(self, tenant: str, query: contract.ListFailures) -> dict[str, Any]:
        members: dict[Failure, list[JobState]] = defaultdict(list)
        for job in self._dead(tenant, query):
            members[failure(job)].append(job)
        groups = [_group(same, jobs) for same, jobs in members.items()]
        groups.sort(key=lambda group: (-group["count"], -group["last_at"].timestamp(), group["fingerprint"]))
        return {"groups": groups[: query.limit], "total": len(groups)}

    def _get(self, tenant: str, query: contract.GetDeadLetter) -> dict[str, Any]:
        dead = self._one(tenant, query.job_id)
        history = self._log.streams[Stream("job", tenant, query.job_id)]
        done = [_intervention(recorded) for recorded in history if TYPES[type(recorded.fact)] in REPAIRS]
        return {"job": _view(dead), "original": history[0].fact.model_dump()["data"], "interventions": done}

    def _preview(self, tenant: str, query: contract.PreviewEdit) -> dict[str, Any]:
        dead = self._dead(tenant, query) if query.job_id is None else [self._one(tenant, query.job_id)]
        return {"count": len(dead), "changes": [_change(job, query) for job in dead[: query.limit]]}

    def _one(self, tenant: str, job_id: str) -> JobState:
        job = self._log.states.get(Stream("job", tenant, job_id))
        if not isinstance(job, JobState) or job.removed:
            raise Refusal("not-found", f"there is no job {job_id!r}")
        if not job.dead_lettered:
            raise Refusal("refused", f"the job is not among the dead letters: it is {job.status}")
        return job

    def _dead(self, tenant: str, query: contract.DeadLetterFilter) -> list[JobState]:
        """What a filter leaves, newest first."""
        return sorted(dead_letters(self._log, tenant, query), key=lambda job: -job.first_position)


def dead_letters(log: MemoryLog, tenant: str, wish: contract.DeadLetterFilter) -> list[JobState]:
    """The dead letters that a filter leaves."""
    states = [state for stream, state in log.states.items() if stream.tenant == tenant]
    jobs = [state for state in states if isinstance(state, JobState) and state.dead_lettered and not state.removed]
    return [job for job in jobs if _wanted(job, wish)]


def failure(job: JobState) -> Failure:
    """The failure that the job's last error is an instance of."""
    last = job.errors[-1]
    return failure_of(job.name, last["type"], last["message"], last["traceback"])


def _wanted(job: JobState, query: contract.DeadLetterFilter) -> bool:
    at = job.ended_at
    return (
        query.name in (None, job.name)
        and query.queue in (None, job.queue)
        and (query.fingerprint is None or query.fingerprint == failure(job).fingerprint)
        and (query.failed_after is None or (at is not None and at >= query.failed_after))
        and (query.failed_before is None or (at is not None and at < query.failed_before))
    )


def _view(job: JobState) -> dict[str, Any]:
    return job.view() | {"fingerprint": failure(job).fingerprint}


def _group(same: Failure, jobs: list[JobState]) -> dict[str, Any]:
    times = {job.id: job.ended_at for job in jobs if job.ended_at is not None}
    newest = max(jobs, key=lambda job: (times[job.id], job.first_position))
    return {
        **same._asdict(),
        "count": len(jobs),
        "first_at": min(times.values()),
        "last_at": max(times.values()),
        "job_id": newest.id,
    }


def _change(job: JobState, query: contract.PreviewEdit) -> dict[str, Any]:
    change: dict[str, Any] = {"job_id": job.id, "data": job.data}
    try:
        return change | {"edited": patched(job.data, query.patch or ())}
    except PatchFailed as error:
        return change | {"edited": None, "problem": str(error)}


def _intervention(recorded: Recorded) -> dict[str, Any]:
    told = {"event": recorded.event_type, "at": recorded.at, "actor": recorded.origin.actor}
    return told | recorded.fact.model_dump(include={"reason", "patch"})
