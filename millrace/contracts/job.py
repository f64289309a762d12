"""Jobs on the wire: commands, queries, the job as it is read, and the data of its events."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    AwareDatetime,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)
from pydantic_core import to_json

from millrace.contracts.durations import Durations, QueueStats
from millrace.contracts.job_logs import GetLogs, KeptLine, Log
from millrace.contracts.wire import Fact, Identifier, Message, Name, Text

MAX_CHECKPOINT_BYTES = 65_536

Seconds = Annotated[float, Field(ge=0, le=31_536_000 * 10, allow_inf_nan=False)]
PositiveSeconds = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]
Priority = Annotated[int, Field(ge=-100, le=100)]
Attempts = Annotated[int, Field(ge=1, le=1_000)]
ParentPolicy = Literal["cancel", "run", "wait"]
PoolTenant = Annotated[str, Field(pattern=r"^(\*|[A-Za-z0-9_-]{1,64})$")]
AttemptNumber = Annotated[int, Field(ge=1, le=2_147_483_647)]


def _bounded(value: Any) -> Any:
    size = len(to_json(value))
    if size > MAX_CHECKPOINT_BYTES:
        raise ValueError(f"a checkpoint has at most {MAX_CHECKPOINT_BYTES} bytes of JSON, this one has {size}")
    return value


CheckpointState = Annotated[Any, AfterValidator(_bounded)]


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("lies outside the years 1 to 9999 in UTC") from None


Time = Annotated[AwareDatetime, AfterValidator(_in_utc)]


def words_of(text: str) -> list[str]:
    """The words that a search for an error looks for: letters and digits, in lower case."""
    return re.findall(r"[^\W_]+", text.lower())


def _with_words(value: str) -> str:
    if not words_of(value):
        raise ValueError("has no word to search for")
    return value


class JobStatus(StrEnum):
    """What a job is doing. A job that waits for a retry is `delayed`; a dead-lettered one is `failed`."""

    PENDING = "pending"
    DELAYED = "delayed"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @classmethod
    def _missing_(cls, value: object) -> JobStatus | None:
        return cls.PROCESSING if value == "active" else None


class Retry(Message):
    """How long a failed attempt waits for the next one.

    Attributes:
        kind: `fixed` waits `delay` each time; `exponential` waits `delay * factor ** (attempt - 1)`; `none` never
            retries.
        delay: first wait, in seconds.
        factor: growth of an exponential wait.
        max_delay: longest wait, in seconds.
        jitter: share of the wait, 0 to 1, that is drawn at random so that retries do not come in herds.
    """

    kind: Literal["fixed", "exponential", "none"] = "exponential"
    delay: PositiveSeconds = 1.0
    factor: Annotated[float, Field(ge=1, le=10)] = 2.0
    max_delay: PositiveSeconds = 3_600.0
    jitter: Annotated[float, Field(ge=0, le=1)] = 0.1


def as_retry(value: object) -> object:
    """A policy that is given by the name of its kind."""
    return {"kind": value} if isinstance(value, str) else value


class Unique(Message):
    """That no other unfinished job of the tenant may have the same key.

    Attributes:
        key: default derived from the job's name and data.
        on_conflict: what a second one meets: `reject` refuses it as `duplicate-job`, `existing` answers with the job
            that has the key, `replace` cancels that one and takes its place; one that is running cannot be replaced.
        until: the key is free again when the job first starts (`started`) or when it has ended (`done`).
        ttl: seconds after which it is free in any case.
    """

    key: Identifier | None = None
    on_conflict: Literal["reject", "existing", "replace"] = "reject"
    until: Literal["started", "done"] = "done"
    ttl: PositiveSeconds | None = None

    def key_of(self, name: str, data: Mapping[str, Any]) -> str:
        """The key that a job of this name and data takes."""
        if self.key is not None:
            return self.key
        canonical = json.dumps(data, sort_keys=True, separators=(",", ":"))
        return f"{name}:{hashlib.sha256(canonical.encode()).hexdigest()[:32]}"

    def kept(self, name: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """What the job keeps of it."""
        return {"key": self.key_of(name, data), "until": self.until, "ttl": self.ttl}


def _unique(value: object) -> object:
    match value:
        case True:
            return {}
        case str():
            return {"key": value}
        case _:
            return value


def _after(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _each_once(value: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value))


def _second_names(schema: dict[str, Any]) -> None:
    """The other spellings that `Enqueue` takes, for whoever validates against the schema."""
    properties = schema["properties"]
    policy = {key: value for key, value in properties["retry"].items() if key == "$ref"}
    properties["retry"] = {"anyOf": [policy, {"type": "string", "enum": ["fixed", "exponential", "none"]}]}
    key = {"type": "string", "minLength": 1, "maxLength": 128, "description": "the key alone"}
    own_key = {"const": True, "description": "a key derived from name and data"}
    properties["unique"]["anyOf"] += [key, own_key]
    properties["after"] = {
        "anyOf": [{k: v for k, v in properties["after"].items() if k != "default"}, {"type": "string"}],
        "default": [],
    }
    for second, first in (("payload", "data"), ("scheduled_at", "run_at"), ("backoff", "retry")):
        described = {
            "title": second.replace("_", " ").title(),
            "description": f"the same as `{first}`; give one of them",
        }
        properties[second] = {**properties[first], **described}


class Enqueue(Message):
    """`job.enqueue`: puts a job into a queue, now or at a later time.

    Attributes:
        name: which handler runs it.
        data: arguments for the handler, a JSON object; `payload` is accepted instead.
        priority: -100 to 100, higher first.
        delay: seconds to wait before the job may run; excludes `run_at`.
        run_at: when the job may run; excludes `delay`.
        max_attempts: attempts before the job is dead-lettered.
        timeout: seconds that one attempt may take.
        retry: a policy, or the name of its kind; `backoff` is accepted instead.
        unique: refuses, answers or replaces where another unfinished job has the same key; the key alone, or `true` for
            one that is derived from name and data.
        after: ids of jobs that have to end first, one or up to 1,000. They must exist, so there can be no circle. What
            they returned comes with the job when it is started.
        on_parent_failure: what follows where one of them is dead-lettered or cancelled: `cancel` cancels this job too,
            `run` runs it nevertheless, `wait` keeps it waiting until somebody retries the parent or cancels this job.
        key: whom the job is for (a customer, an account), where its queue shares or limits by key.
        batch: id of the batch that it belongs to, which must not be sealed yet.
    """

    model_config = ConfigDict(json_schema_extra=_second_names)

    name: Name
    data: dict[str, Any] = Field(default_factory=dict)
    queue: Name = "default"
    priority: Priority = 0
    delay: Seconds | None = None
    run_at: Time | None = Field(None, validation_alias=AliasChoices("run_at", "scheduled_at"))
    max_attempts: Attempts = 3
    timeout: PositiveSeconds = 300.0
    retry: Annotated[Retry, BeforeValidator(as_retry)] = Field(
        default_factory=Retry, validation_alias=AliasChoices("retry", "backoff")
    )
    key: Name | None = None

    unique: Annotated[Unique | None, BeforeValidator(_unique)] = None
    after: Annotated[
        tuple[Identifier, ...], BeforeValidator(_after), AfterValidator(_each_once), Field(max_length=1_000)
    ] = ()
    on_parent_failure: ParentPolicy = "cancel"
    batch: Identifier | None = None

    @model_validator(mode="before")
    @classmethod
    def _payload_is_data(cls, value: Any) -> Any:
        if isinstance(value, dict) and "payload" in value:
            if "data" in value:
                raise ValueError("give either `data` or `payload`, not both")
            value = dict(value)
            value["data"] = value.pop("payload")
        return value

    @model_validator(mode="after")
    def _one_due_time(self) -> Enqueue:
        if self.delay is not None and self.run_at is not None:
            raise ValueError("give either `delay` or `run_at`, not both")
        return self


class Cancel(Message):
    """`job.cancel`: ends a waiting, delayed or running job. A running attempt is told at its next renewal."""

    job_id: Identifier
    reason: Text | None = None


class JobChange(Message):
    """What is to be otherwise with a waiting job.

    A job that only gets other `data` keeps its place; with another priority, time or queue it is placed anew, behind
    those of the same rank.

    Attributes:
        priority: -100 to 100, higher first.
        delay: seconds from now before the job may run, 0 for at once; excludes `run_at`.
        run_at: when the job may run; excludes `delay`.
        queue: where it waits from now on.
        data: all arguments for the handler.
    """

    priority: Priority | None = None
    delay: Seconds | None = None
    run_at: Time | None = None
    queue: Name | None = None
    data: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _something_to_change(self) -> JobChange:
        if self.delay is not None and self.run_at is not None:
            raise ValueError("give either `delay` or `run_at`, not both")
        if all(value is None for value in (self.priority, self.delay, self.run_at, self.queue, self.data)):
            raise ValueError("give at least one of `priority`, `delay`, `run_at`, `queue` and `data`")
        return self


class Change(JobChange):
    """`job.change`: gives a waiting job other settings; a running or ended one is refused."""

    job_id: Identifier


class RetryDead(Message):
    """`job.retry`: takes a dead-lettered job out of the dead letters and gives it `max_attempts` more attempts."""

    job_id: Identifier
    reason: Text | None = None


class Remove(Message):
    """`job.remove`: takes a waiting or finished job out of the read models. A running one is refused."""

    job_id: Identifier
    reason: Text | None = None


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
    tenants: Annotated[tuple[PoolTenant, ...], AfterValidator(_each_once), Field(max_length=64)] = ()

    @field_validator("tenants")
    @classmethod
    def _all_or_some(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "*" in value and len(value) > 1:
            raise ValueError('["*"] stands for all tenants and for itself; leave the others out')
        return value


class Parent(Fact):
    """A job that another one came after, as it is when that one starts.

    Attributes:
        left_out: there is a result that was too large to come along; read it with `job.get`.
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


class GetJob(Message):
    """Query `job.get`."""

    job_id: Identifier


class ListJobs(Message):
    """Query `job.list`: newest first, in pages. `status=active` means `processing`.

    Attributes:
        created_after: enqueued at this time or later.
        created_before: enqueued before this time.
        finished_after: completed or failed for good at this time or later.
        finished_before: completed or failed for good before this time.
        error: words that the error of one of its attempts has, all of them, whole and in any case.
        waiting: a reason for which jobs wait, as `job.why` names it: `delayed`, `retry`, `paused` …
    """

    status: JobStatus | None = None
    queue: Name | None = None
    name: Name | None = None
    dead_lettered: bool | None = None
    created_after: Time | None = None
    created_before: Time | None = None
    finished_after: Time | None = None
    finished_before: Time | None = None
    error: Annotated[str, Field(max_length=1_000), AfterValidator(_with_words)] | None = None
    waiting: Name | None = None
    limit: Annotated[int, Field(ge=1, le=1_000)] = 50
    cursor: str | None = Field(None, max_length=256)


class JobStats(Message):
    """Query `job.stats`: counts by status, and the workers seen within one lease.

    Attributes:
        queue: only this queue; workers are counted all the same.
        details: also each queue, the oldest waiting job, and how long the newest jobs waited and ran.
    """

    queue: Name | None = None
    details: bool = False


class Stats(Fact):
    """Answer to `job.stats`.

    Attributes:
        oldest_waiting: seconds for which the oldest of the jobs that may run has waited; this and all below only with
            `details`.
        wait: how long jobs that may run waited for their start, by the newest starts.
        run: how long attempts took that completed or failed, by the newest ones.
    """

    pending: int = 0
    processing: int = 0
    completed: int = 0
    failed: int = 0
    delayed: int = 0
    cancelled: int = 0
    workers: int = 0
    oldest_waiting: float | None = None
    queues: tuple[QueueStats, ...] = ()
    wait: Durations | None = None
    run: Durations | None = None


class AttemptError(Fact):
    """The error of one attempt, as it is read."""

    attempt: int
    type: str
    message: str
    traceback: str | None = None
    at: datetime


class Heartbeat(Fact):
    """What the running attempt last told of itself."""

    at: datetime
    details: dict[str, Any]


class Job(Fact):
    """A job as it is read. `payload` is an alias of `data`, `processed_at` of `started_at`.

    `heartbeat` is there in `job.get` while an attempt runs that has told something of itself.
    `logs` is read with `job.logs` and stands here in the Python client only, where it was asked for.
    """

    id: str
    name: str
    data: dict[str, Any]
    status: JobStatus
    priority: int = 0
    queue: str = "default"
    attempts: int = 0
    max_attempts: int = 3
    timeout: float = 300.0
    created_at: datetime
    run_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    failed_at: datetime | None = None
    result: Any = None
    error: str | None = None
    error_detail: AttemptError | None = None
    errors: tuple[AttemptError, ...] = ()
    dead_lettered: bool = False
    worker: str | None = None
    version: int = 1
    heartbeat: Heartbeat | None = None
    logs: tuple[KeptLine, ...] = ()

    @property
    def payload(self) -> dict[str, Any]:
        return self.data

    @property
    def processed_at(self) -> datetime | None:
        return self.started_at


class JobEnqueued(Fact):
    """`queue_priority` is what the queue added to the job's own priority; `unique` has `key`, `until` and `ttl`."""

    name: str
    data: dict[str, Any]
    queue: str
    priority: int
    max_attempts: int
    timeout: float
    retry: dict[str, Any]
    run_at: datetime | None = None
    queue_priority: int = 0
    unique: dict[str, Any] | None = None
    after: list[str] | None = None
    on_parent_failure: str | None = None
    key: str | None = None
    batch: str | None = None


class JobChanged(Fact):
    """A waiting job got other settings: all of them as they are now, `changed` names those that differ."""

    changed: tuple[str, ...]
    status: str
    priority: int
    queue_priority: int
    queue: str
    run_at: datetime | None = None
    data: dict[str, Any]


class JobStarted(Fact):
    attempt: int
    worker: str


class JobCompleted(Fact):
    attempt: int
    result: Any = None


class JobCheckpointed(Fact):
    """The running attempt saved what the next one continues from."""

    attempt: int
    state: Any
    number: int = 0


class JobAttemptFailed(Fact):
    attempt: int
    error: ErrorDetail


class JobAttemptLost(Fact):
    """The worker's lease lapsed: it died, froze or was cut off."""

    attempt: int
    worker: str


class JobAttemptReturned(Fact):
    """The attempt was handed back unrun, or its grant was never confirmed; it does not count."""

    attempt: int
    reason: str


class JobRetryScheduled(Fact):
    attempt: int
    run_at: datetime


class JobDeadLettered(Fact):
    attempt: int
    reason: str


class JobRevived(Fact):
    """A dead-lettered job got more attempts."""

    max_attempts: int
    reason: str | None = None


class JobCancelled(Fact):
    reason: str | None = None


class JobRemoved(Fact):
    reason: str | None = None


COMMANDS: dict[str, type[Message]] = {
    "job.enqueue": Enqueue,
    "job.cancel": Cancel,
    "job.change": Change,
    "job.retry": RetryDead,
    "job.remove": Remove,
    "job.report": Report,
    "job.checkpoint": Checkpoint,
    "job.claim": Claim,
    "job.renew": Renew,
    "job.withdraw": Withdraw,
    "job.log": Log,
}
QUERIES: dict[str, type[Message]] = {
    "job.get": GetJob,
    "job.list": ListJobs,
    "job.stats": JobStats,
    "job.logs": GetLogs,
}
EVENTS: dict[str, type[Fact]] = {
    "job.enqueued": JobEnqueued,
    "job.changed": JobChanged,
    "job.started": JobStarted,
    "job.checkpointed": JobCheckpointed,
    "job.completed": JobCompleted,
    "job.attempt_failed": JobAttemptFailed,
    "job.attempt_lost": JobAttemptLost,
    "job.attempt_returned": JobAttemptReturned,
    "job.retry_scheduled": JobRetryScheduled,
    "job.dead_lettered": JobDeadLettered,
    "job.revived": JobRevived,
    "job.cancelled": JobCancelled,
    "job.removed": JobRemoved,
}
# Events that once had fewer fields; what is not named is of version 1.
VERSIONS: dict[str, int] = {"job.enqueued": 4}
