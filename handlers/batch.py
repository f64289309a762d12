"""Batches: creating, sealing and cancelling them, and the jobs that they enqueue in the end."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from domain.batch import Batch
from domain.errors import Refusal
from domain.job import KIND as JOB_KIND
from domain.job import Job
from domain.ports import StreamName
from domain.progress import KIND as PROGRESS_KIND
from domain.progress import Progress
from domain.progress_jobs import rule_of_jobs
from handlers.job import JobPolicy
from handlers.progress_types import ProgressTypes
from handlers.routes import Beside, CommandRoute, Decided, Moment
from millrace.contracts import batch as contract
from millrace.contracts.wire import Context, Identifier, Message, derived_id
from projections.work import work_of


class Finish(Message):
    """`batch.complete` and `batch.succeed`, from inside only: where the jobs of a sealed batch have got to."""

    batch_id: Identifier
    tenant: str
    total: int
    completed: int
    failed: int
    cancelled: int


class ProgressIsOff(Refusal):
    """Raised when a batch is to have a progress and the module of progress is off."""

    def __init__(self) -> None:
        super().__init__("progress: the module is switched off (modules.progress.enabled); create the batch without it")


def create(types: ProgressTypes | None, batch: Batch | None, command: contract.CreateBatch, at: Moment) -> Decided:
    if batch is not None:
        return _told(batch, at)
    beside = None if command.progress is None else _tracked(types, command, command.progress, at)
    batch = Batch.create(
        at.stream,
        at.now,
        name=command.name,
        on_complete=command.on_complete.model_dump() if command.on_complete else None,
        on_success=command.on_success.model_dump() if command.on_success else None,
    )
    return _told(batch, at)._replace(beside=beside)


def _tracked(
    types: ProgressTypes | None, command: contract.CreateBatch, wish: contract.BatchProgress, at: Moment
) -> Beside:
    """The batch's progress, stored with it or not at all."""
    if types is None:
        raise ProgressIsOff
    types.check_metadata(wish.type, wish.metadata)
    stream = StreamName(PROGRESS_KIND, at.tenant, at.id)
    progress = Progress.create(
        stream.text,
        at.now,
        parent_id=wish.parent_id,
        weight=wish.weight,
        type=wish.type,
        stages=[],
        metadata={"batch_id": at.id, "batch": command.name, **wish.metadata},
        user_id=wish.user_id,
        children=rule_of_jobs(wish.expected),
        stall_after=types.silence_of(wish.type) if wish.stall_after is None else wish.stall_after,
    )
    return Beside(stream, progress)


def seal(batch: Batch, command: contract.SealBatch, at: Moment) -> Decided:
    batch.seal(at.now)
    return _told(batch, at)


def cancel(batch: Batch, command: contract.CancelBatch, at: Moment) -> Decided:
    batch.cancel(command.reason, at.now)
    return _told(batch, at)


def complete(policy: JobPolicy, batch: Batch, command: Finish, at: Moment) -> Decided:
    first = batch.complete(command.total, command.completed, command.failed, command.cancelled, at.now)
    beside = _callback(policy, batch.on_complete, "on_complete", batch, command, at) if first else None
    return _told(batch, at)._replace(beside=beside)


def succeed(policy: JobPolicy, batch: Batch, command: Finish, at: Moment) -> Decided:
    first = batch.succeed(command.total, at.now)
    beside = _callback(policy, batch.on_success, "on_success", batch, command, at) if first else None
    return _told(batch, at)._replace(beside=beside)


def _callback(
    policy: JobPolicy, wish: dict[str, Any] | None, which: str, batch: Batch, command: Finish, at: Moment
) -> Beside | None:
    """The job that follows, stored with the event that it follows from: both or neither, so exactly one."""
    if wish is None:
        return None
    stream = StreamName(JOB_KIND, command.tenant, derived_id(command.tenant, f"{at.stream}/{which}", "millrace"))
    counts = {"id": at.id, "name": batch.name, **command.model_dump(exclude={"batch_id", "tenant"})}
    job = Job.enqueue(
        stream.text,
        at.now,
        name=wish["name"],
        data={**wish["data"], "batch": counts},
        queue=wish["queue"],
        priority=wish["priority"],
        max_attempts=policy.max_attempts,
        timeout=policy.timeout,
        retry=policy.retry_data,
        run_at=None,
        queue_priority=policy.queue_priorities.get(wish["queue"], 0),
    )
    return Beside(stream, job, work_of)


def _told(batch: Batch, at: Moment) -> Decided:
    return Decided(batch, {"batch_id": at.id, "is_sealed": batch.is_sealed, "is_cancelled": batch.is_cancelled})


def _named(command: Any, _: Context) -> str:
    return str(command.batch_id)


def _derived(_: Any, context: Context) -> str:
    return derived_id(context.tenant, context.message_id, context.principal)


def command_routes(types: ProgressTypes | None) -> dict[str, CommandRoute]:
    """Commands that a batch decides.

    Args:
        types: of progress; None where that module is off.
    """
    decide = partial(create, types)
    return {
        "batch.create": CommandRoute(contract.CreateBatch, Batch, decide, _derived, creates=True, required=False),
        "batch.seal": CommandRoute(contract.SealBatch, Batch, seal, _named),
        "batch.cancel": CommandRoute(contract.CancelBatch, Batch, cancel, _named),
    }


def internal_routes(policy: JobPolicy) -> dict[str, CommandRoute]:
    """Commands that only the timers give; repeating them changes nothing."""

    def route(decide: Callable[..., Decided]) -> CommandRoute:
        return CommandRoute(Finish, Batch, partial(decide, policy), _named, remembered=False, continues=True)

    return {"batch.complete": route(complete), "batch.succeed": route(succeed)}
