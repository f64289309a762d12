"""What workers and the service tell each other: claims, leases, checkpoints and reports."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import to_json

from millrace.contracts.job_fields import AttemptNumber, CheckpointState, JobStatus, Seconds
from millrace.contracts.job_result import STORED, StoredResult
from millrace.contracts.wire import Fact, Identifier, Message, Name

PoolTenant = Annotated[str, Field(pattern=r"^(\*|[A-Za-z0-9_-]{1,64})$")]


class ErrorDetail(Message):
    """Why an attempt failed: the error's class, its message and the traceback, as text."""

    type: str = Field("Error", max_length=256)
    message: str = Field("", max_length=65_536)
    traceback: str | None = Field(None, max_length=262_144)


class Report(Message):
    """`job.report`: how one attempt ended. Sent by workers; the attempt number is the fencing token.

    Attributes:
        outcome: `completed` with `result`, `failed` with `error`, or `returned` when a worker hands the job back
            unrun (uses no attempt).
        stored: where the result is that the attempt has uploaded with `job.upload`, in place of `result`.
        retryable: false sends the job to the dead letters whatever its policy says.
        retry_after: seconds until the next attempt, in place of what the policy says; only with `failed`.
        delay: seconds before a returned job may run again.
        reason: why the job was returned.
        checkpoint: state that the next attempt continues from, where it was not saved by itself; not with `completed`.
    """

    job_id: Identifier
    attempt: AttemptNumber
    outcome: Literal["completed", "failed", "returned"]
    result: Any = None
    stored: StoredResult | None = None
    error: ErrorDetail | None = None
    retryable: bool = True
    retry_after: Seconds | None = None
    delay: Seconds | None = None
    reason: Annotated[str, Field(max_length=256)] | None = None
    checkpoint: CheckpointState = None

    @model_validator(mode="after")
    def _failure_has_error(self) -> Report:
        if self.outcome == "failed" and self.error is None:
            raise ValueError("a failed attempt carries an `error`")
        if self.outcome != "returned" and (self.delay is not None or self.reason is not None):
            raise ValueError("`delay` and `reason` belong to a returned attempt")
        if self.outcome != "failed" and self.retry_after is not None:
            raise ValueError("`retry_after` belongs to a failed attempt")
        if self.outcome == "completed" and "checkpoint" in self.model_fields_set:
            raise ValueError("a completed job has no next attempt to continue from a `checkpoint`")
        if self.stored is not None and (self.outcome != "completed" or self.result is not None):
            raise ValueError("`stored` belongs to a completed attempt, in place of its `result`")
        if isinstance(self.result, dict) and STORED in self.result:
            raise ValueError(f"a result cannot have a field `{STORED}`, which says that it is in the storage")
        return self


class Checkpoint(Message):
    """`job.checkpoint`: saves what the next attempt of the job continues from. Sent by the running attempt.

    Attributes:
        state: any JSON of at most 65,536 bytes; null takes back what was saved.
        number: grows with each checkpoint of an attempt; one that comes late changes nothing. 0 is taken as it comes.
    """

    job_id: Identifier
    attempt: AttemptNumber
    state: CheckpointState
    number: Annotated[int, Field(ge=0, le=2_147_483_647)] = 0


class Claim(Message):
    """`job.claim`: asks for as many jobs as the worker has room for.

    Attributes:
        worker: a name unique to the worker process.
        queues: where to look; within the claim the order of jobs goes by priority, then by age.
        slots: most jobs to grant.
        wait: seconds that the service may hold the claim while nothing is ready.
        tenants: whose jobs to take, in turn by the tenants' weights and within each by priority; `["*"]` for all.
            Without it those of the caller's tenant. The credential must be allowed to, and what is done about a grant
            is sent in the name of the grant's tenant.
    """

    worker: Identifier
    queues: Annotated[tuple[Name, ...], Field(min_length=1, max_length=64)] = ("default",)
    slots: Annotated[int, Field(ge=1, le=1_000)] = 1
    wait: Annotated[float, Field(ge=0, le=60)] = 0.0
    tenants: Annotated[tuple[PoolTenant, ...], Field(max_length=64)] = ()

    @field_validator("tenants")
    @classmethod
    def _all_or_some(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "*" in value and len(value) > 1:
            raise ValueError('["*"] stands for all tenants and for itself; leave the others out')
        return tuple(dict.fromkeys(value))


class Parent(Fact):
    """A job that another one came after, as it is when that one starts.

    Attributes:
        left_out: there is a result that was too large to come along; read it with `job.result`.
    """

    job_id: str
    name: str
    status: JobStatus
    result: Any = None
    left_out: bool = False


class Grant(Fact):
    """One job that a claim received. The attempt is valid for `lease` seconds after the claim was answered.

    Attributes:
        tenant: whose job it is; renewals, reports and what else concerns it are sent in its name.
        key: whom the job is for, as it was enqueued.
        parents: the jobs that it came after, with their results, in the order of `after`.
    """

    job_id: str
    attempt: int
    tenant: str
    name: str
    data: dict[str, Any]
    queue: str
    priority: int
    attempts: int
    max_attempts: int
    timeout: float
    created_at: datetime
    correlation_id: str | None = None
    traceparent: str | None = None
    checkpoint: Any = None
    key: str | None = None
    parents: tuple[Parent, ...] = ()


class Grants(Fact):
    """Answer to `job.claim`.

    Attributes:
        grants: the jobs, none when nothing became ready in time.
        held: seconds that the service held the claim; time since sending minus `held` bounds the way back.
        lease: seconds until an unconfirmed grant lapses; `job.renew` confirms it.
    """

    grants: tuple[Grant, ...]
    held: float
    lease: float


class Attempt(Message):
    """A job's attempt, named by its fencing number."""

    job_id: Identifier
    attempt: AttemptNumber


MAX_HEARTBEAT_BYTES = 4_096


class Beat(Attempt):
    """An attempt that is still running. `details`, at most 4,096 bytes of JSON, replace those of before."""

    details: dict[str, Any] | None = None

    @field_validator("details")
    @classmethod
    def _small(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None and len(to_json(value)) > MAX_HEARTBEAT_BYTES:
            raise ValueError(f"the details of a heartbeat have at most {MAX_HEARTBEAT_BYTES} bytes of JSON")
        return value


class Renew(Message):
    """`job.renew`: confirms and extends the leases of all attempts that a worker runs, in one message."""

    worker: Identifier
    attempts: Annotated[tuple[Beat, ...], Field(max_length=1_000)] = ()


class LostAttempt(Attempt):
    """An attempt that is not valid any more; where its job was canceled, `status` says so and `reason` why."""

    status: Literal["cancelled"] | None = None
    reason: str | None = None


class Renewed(Fact):
    """Answer to `job.renew`: the lease in seconds, and the attempts that are no longer valid and must stop."""

    lease: float
    lost: tuple[LostAttempt, ...] = ()


class Withdraw(Message):
    """`job.withdraw`: a worker that stops wants nothing more; claims of it that are still held get no grant."""

    worker: Identifier


class Withdrawn(Fact):
    """Answer to `job.withdraw`."""

    worker: str
