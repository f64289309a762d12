"""Mending a dead-lettered job: the rules of the service, without its store."""

from __future__ import annotations

from datetime import datetime

from millrace.contracts import deadletter as contract
from millrace.contracts import job as job_contract
from millrace.contracts.json_patch import PatchFailed, patched
from millrace.contracts.wire import Fact
from millrace.testing.job_state import JobState
from millrace.testing.refusals import Refusal


def edit(job: JobState, command: contract.EditDead, now: datetime) -> list[Fact]:
    try:
        data = patched(job.data, command.patch)
    except PatchFailed as error:
        raise Refusal("refused", str(error)) from error
    if not job.dead_lettered or job.removed:
        raise Refusal("refused", f"the job is not among the dead letters: it is {_shown(job)}")
    if data == job.data:
        return []
    patch = tuple(operation.plain() for operation in command.patch)
    return [contract.JobEdited(patch=patch, data=data, reason=command.reason)]


def undo(job: JobState, command: contract.Undo, now: datetime) -> list[Fact]:
    waiting = job.status in ("pending", "delayed")
    if waiting and job.died_at is not None and job.attempt == job.died_in:
        undone = contract.JobRetryUndone(max_attempts=job.died_with, failed_at=job.died_at, reason=command.reason)
        back = job_contract.JobDeadLettered(attempt=job.attempt, reason="its retry was undone")
        return [back, undone]
    if job.dead_lettered and not job.removed and job.before_edits:
        return [contract.JobEditUndone(data=job.before_edits[-1], reason=command.reason)]
    raise Refusal(
        "refused",
        f"there is nothing to undo: the job is {_shown(job)}; a retry can be undone until the job starts, and an edit"
        " while the job is among the dead letters",
    )


def _shown(job: JobState) -> str:
    return "removed" if job.removed else job.status
