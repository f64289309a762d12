"""Commands that mend a dead-lettered job."""

from __future__ import annotations

from typing import Any

from domain import job_repair
from domain.errors import NotDeadLettered, PatchMismatch
from domain.job import Job
from handlers.routes import CommandRoute, Decided, Moment
from millrace.contracts import deadletter as contract
from millrace.contracts.json_patch import PatchFailed, patched
from millrace.contracts.wire import Context, Identifier, Message, Text
from projections.work import work_of


def edit(job: Job, command: contract.EditDead, at: Moment) -> Decided:
    try:
        data = patched(job.data, command.patch)
    except PatchFailed as error:
        raise PatchMismatch(str(error)) from error
    job_repair.edit(job, [operation.plain() for operation in command.patch], data, command.reason, at.now)
    return Decided(job, {"job_id": at.id, "status": job.status})


def undo(job: Job, command: contract.Undo, at: Moment) -> Decided:
    undone = job_repair.undo(job, command.reason, at.now)
    return Decided(job, {"job_id": at.id, "status": job.status, "undone": undone})


class Purge(Message):
    """`job.purge`, from inside only: removes the job if it is a dead letter."""

    job_id: Identifier
    reason: Text | None = None


def purge(job: Job, command: Purge, at: Moment) -> Decided:
    if not job.dead_lettered or job.removed:
        raise NotDeadLettered("removed" if job.removed else job.status)
    job.remove(at.now, command.reason)
    return Decided(job, {"job_id": at.id, "success": True})


def _named(command: Any, _: Context) -> str:
    return str(command.job_id)


def command_routes() -> dict[str, CommandRoute]:
    """Commands that the job aggregate decides."""
    return {
        "job.edit": CommandRoute(contract.EditDead, Job, edit, _named, work=work_of),
        "job.undo": CommandRoute(contract.Undo, Job, undo, _named, work=work_of),
    }


def internal_routes() -> dict[str, CommandRoute]:
    """The command that only purging by filter gives."""
    return {"job.purge": CommandRoute(Purge, Job, purge, _named, work=work_of)}
