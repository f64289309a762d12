"""Job commands: each loads, decides and answers; claims and leases go to the work queue."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property, partial
from typing import Any, assert_never

from pydantic_core import from_json, to_json

from domain.errors import ClaimsNotAllowed, UnreadableHistory
from domain.job import KIND, Job
from domain.job_change import Changes, change
from domain.ports import ClaimRequest, EventStore, StreamName, WorkQueue
from handlers import uniqueness
from handlers.dependencies import with_parents
from handlers.routes import CommandRoute, Decided, Moment, OperationRoute
from millrace.contracts import job as contract
from millrace.contracts.job_result import STORED
from millrace.contracts.wire import Context, derived_id
from projections.work import changed_work_of, work_of

Verify = Callable[[contract.Report, Context], Awaitable[None] | None]


@dataclass(frozen=True)
class JobPolicy:
    """What a job gets that does not say otherwise, and what each queue adds to its jobs' priority.

    Attributes:
        timeout: seconds.
        names: what jobs of some names get instead; queues add the same to them.
    """

    max_attempts: int = 3
    timeout: float = 300.0
    retry: contract.Retry = field(default_factory=contract.Retry)
    queue_priorities: Mapping[str, int] = field(default_factory=dict)
    names: Mapping[str, JobPolicy] = field(default_factory=dict)

    def of(self, name: str) -> JobPolicy:
        """What jobs of that name get."""
        return self.names.get(name, self)

    @cached_property
    def retry_data(self) -> dict[str, Any]:
        """`retry` as jobs keep it."""
        return self.retry.model_dump()


def enqueue(policy: JobPolicy, job: Job | None, command: contract.Enqueue, at: Moment) -> Decided:
    if job is None:
        given, own = command.model_fields_set, policy.of(command.name)
        run_at = command.run_at if command.delay is None else at.now + timedelta(seconds=command.delay)
        job = Job.enqueue(
            at.stream,
            at.now,
            name=command.name,
            data=command.data,
            queue=command.queue,
            priority=command.priority,
            max_attempts=command.max_attempts if "max_attempts" in given else own.max_attempts,
            timeout=command.timeout if "timeout" in given else own.timeout,
            retry=command.retry.model_dump() if "retry" in given else own.retry_data,
            run_at=run_at,
            queue_priority=policy.queue_priorities.get(command.queue, 0),
            unique=None if command.unique is None else command.unique.kept(command.name, command.data),
            after=list(command.after) or None,
            on_parent_failure=command.on_parent_failure if command.after else None,
            batch=command.batch,
            key=command.key,
            affinity=command.affinity,
        )
    return Decided(job, {"job_id": at.id, "status": job.status, "created_at": job.created_on, "run_at": job.run_at})


def change_waiting(policy: JobPolicy, job: Job, command: contract.Change, at: Moment) -> Decided:
    wanted: Changes = {}
    if command.priority is not None:
        wanted["priority"] = command.priority
    if command.queue is not None:
        wanted["queue"] = command.queue
        wanted["queue_priority"] = policy.queue_priorities.get(command.queue, 0)
    if command.data is not None:
        wanted["data"] = command.data
    if command.delay is not None:
        wanted["run_at"] = at.now + timedelta(seconds=command.delay)
    if command.run_at is not None:
        wanted["run_at"] = command.run_at
    change(job, wanted, at.now)
    return Decided(job, {"job_id": at.id, "status": job.status})


def cancel(job: Job, command: contract.Cancel, at: Moment) -> Decided:
    job.cancel(command.reason, at.now)
    return Decided(job, {"job_id": at.id, "status": job.status, "success": True})


def retry(job: Job, command: contract.RetryDead, at: Moment) -> Decided:
    job.revive(command.reason, at.now)
    return Decided(job, {"job_id": at.id, "status": job.status})


def remove(job: Job, command: contract.Remove, at: Moment) -> Decided:
    job.remove(at.now, command.reason)
    return Decided(job, {"job_id": at.id, "success": True})


def checkpoint(job: Job, command: contract.Checkpoint, at: Moment) -> Decided:
    job.save_checkpoint(command.attempt, command.state, command.number, at.now)
    return Decided(job, {"job_id": at.id, "status": job.status})


def report(job: Job, command: contract.Report, at: Moment) -> Decided:
    if "checkpoint" in command.model_fields_set:
        job.save_checkpoint(command.attempt, command.checkpoint, 0, at.now)
    match command.outcome:
        case "completed":
            result = command.result if command.stored is None else {STORED: command.stored.model_dump(mode="json")}
            job.complete(command.attempt, result, at.now)
        case "failed":
            error = command.error.model_dump() if command.error else {}
            job.fail(command.attempt, error, command.retryable, at.now, command.retry_after)
        case "returned":
            reason = command.reason or "handed back by its worker"
            job.give_back(command.attempt, reason, at.now, command.delay or 0.0)
        case _:
            assert_never(command.outcome)
    return Decided(job, {"job_id": at.id, "status": job.status})


def _named(command: Any, _: Context) -> str:
    return str(command.job_id)


def _derived(_: Any, context: Context) -> str:
    return derived_id(context.tenant, context.message_id, context.principal)


def command_routes(policy: JobPolicy, verify: Verify) -> dict[str, CommandRoute]:
    """Commands that the job aggregate decides.

    Args:
        verify: whether what a report says of a result that was uploaded is so.
    """
    return {
        "job.enqueue": CommandRoute(
            contract.Enqueue,
            Job,
            partial(enqueue, policy),
            _derived,
            creates=True,
            required=False,
            work=work_of,
            resolve=uniqueness.resolve,
            lane=uniqueness.lane,
            siblings=True,
        ),
        "job.change": CommandRoute(contract.Change, Job, partial(change_waiting, policy), _named, work=changed_work_of),
        "job.cancel": CommandRoute(contract.Cancel, Job, cancel, _named, work=work_of),
        "job.retry": CommandRoute(contract.RetryDead, Job, retry, _named, work=work_of),
        "job.remove": CommandRoute(contract.Remove, Job, remove, _named, work=work_of),
        # The attempt number makes a repeated report harmless, so its answer needs no inbox row.
        "job.report": CommandRoute(
            contract.Report,
            Job,
            report,
            _named,
            remembered=False,
            continues=True,
            work=work_of,
            watched=True,
            verify=verify,
        ),
        # Its number does the same for a repeated checkpoint.
        "job.checkpoint": CommandRoute(
            contract.Checkpoint, Job, checkpoint, _named, remembered=False, continues=True, work=work_of
        ),
    }


def details_text(details: dict[str, Any]) -> str:
    """What an attempt tells of itself, as PostgreSQL's JSON takes it."""
    return to_json(details, inf_nan_mode="null").decode()


async def cancellations(
    store: EventStore, tenant: str, lost: Sequence[tuple[str, int]]
) -> dict[str, dict[str, str | None]]:
    """By job id what is to be said to those who still run a job that was canceled."""
    names = {StreamName(KIND, tenant, job_id): job_id for job_id, _ in lost}
    told: dict[str, dict[str, str | None]] = {}
    for stream, loaded in (await store.load(list(names))).items() if names else ():
        with suppress(UnreadableHistory):
            job = Job.replayed(loaded.events, loaded.snapshot)  # type: ignore[arg-type]
            if job is not None and job.status == "cancelled":
                told[names[stream]] = {"status": job.status, "reason": job.cancel_reason}
    return told


def pool_of(tenants: tuple[str, ...], context: Context) -> tuple[str, ...]:
    """The tenants of a claim, none where it is for the caller's own alone.

    Raises:
        ClaimsNotAllowed: the credential may not claim jobs of one of them.
    """
    if not tenants or tenants == (context.tenant,):
        return ()
    if "*" not in context.claims_for:
        foreign = [tenant for tenant in tenants if tenant not in (context.tenant, *context.claims_for)]
        if foreign:
            raise ClaimsNotAllowed(foreign)
    return tenants


def operation_routes(
    queue: WorkQueue, store: EventStore, lease: float, grant_lease: float
) -> dict[str, OperationRoute]:
    """Claims and renewals: carried out each time they arrive."""

    async def claim(command: contract.Claim, context: Context) -> dict[str, Any]:
        tenants = pool_of(command.tenants, context)
        granted = await queue.claim(
            ClaimRequest(context.tenant, command.worker, command.queues, command.slots, command.wait, tenants)
        )
        grants = [
            {"job_id": job.job_id, "attempt": job.attempt, "tenant": job.tenant, **from_json(job.task)}
            for job in granted.jobs
        ]
        await with_parents(store, grants)
        return {"grants": grants, "held": granted.held, "lease": grant_lease}

    async def renew(command: contract.Renew, context: Context) -> dict[str, Any]:
        attempts = {
            (beat.job_id, beat.attempt): None if beat.details is None else details_text(beat.details)
            for beat in command.attempts
        }
        lost = await queue.renew(context.tenant, command.worker, attempts)
        why = await cancellations(store, context.tenant, lost)
        told = [{"job_id": job_id, "attempt": attempt, **why.get(job_id, {})} for job_id, attempt in lost]
        return {"lease": lease, "lost": told}

    async def withdraw(command: contract.Withdraw, context: Context) -> dict[str, Any]:
        await queue.withdraw(context.tenant, command.worker)
        return {"worker": command.worker}

    return {
        "job.claim": OperationRoute(contract.Claim, claim),
        "job.renew": OperationRoute(contract.Renew, renew),
        "job.withdraw": OperationRoute(contract.Withdraw, withdraw),
    }
