"""The ports: what the handlers need from the outside, as protocols and the plain values that pass through them.

The values that are made for every event are named tuples, which cost a third of a frozen dataclass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol

from domain.aggregate import Aggregate, Event


class StreamName(NamedTuple):
    """Names one aggregate's stream. `text` is an opaque key; the parts are kept in columns and never parsed from it."""

    kind: str
    tenant: str
    id: str

    @property
    def text(self) -> str:
        return f"{self.kind}:{self.tenant}:{self.id}"


class Metadata(NamedTuple):
    """Who caused an event, kept in columns beside it; the domain never sees it."""

    tenant: str
    company: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    actor: str | None = None
    traceparent: str | None = None


class RecordedEvent(NamedTuple):
    """One event as it was stored: the domain event in its envelope.

    Attributes:
        position: place in the one global order; dense.
        version: place in the stream, 1, 2, 3 …
        event_type: routing name that patterns match, such as `job.completed`.
        recorded_at: database time of the append.
    """

    position: int
    stream: StreamName
    version: int
    event_id: str
    event_type: str
    recorded_at: datetime
    metadata: Metadata
    event: Event


class CommandKey(NamedTuple):
    """Identifies a command for ever: the same key with the same body gets the same answer."""

    tenant: str
    principal: str
    command_id: str
    body_hash: bytes

    @property
    def identity(self) -> tuple[str, str, str]:
        """What makes two commands the same one."""
        return self.tenant, self.principal, self.command_id


class UniqueKey(NamedTuple):
    """A key that one job of a tenant has until its first start or its end, or for `ttl` seconds if that is sooner."""

    key: str
    until: str
    ttl: float | None


class Parents(NamedTuple):
    """The jobs that have to end before another one runs, and what follows where one fails: `cancel`, `run`, `wait`."""

    streams: tuple[StreamName, ...]
    on_failure: str


class Work(NamedTuple):
    """Where a job stands for the claims after its events.

    Attributes:
        place: `ready` (may run now), `waiting` (until `due_at`), `same` (where it stands, with another `task`), or None
            (running or ended). `rules` and `circuit` are no job: `task` has the rules of a queue, or the state of
            a name's circuit breaker, from now on.
        leaves: the tables that may hold the job's row from before.
        rank: order among the jobs of one lane, smaller first, where the queue has no order of its own.
        attempt: number that the next attempt will carry.
        task: what a worker is told, JSON text.
        origin: metadata of the job's first event, which its starts continue.
        unique: the key that the job takes; the append is `KeyTaken` where another one has it.
        parents: what the new job has to wait for; the append is `ParentsMissing` where one does not exist.
        batch: what the new job belongs to; the append is `BatchClosed` where that takes no job.
        key: whom the job is for, where the queue shares or limits by key.
        priority: the job's own and its queue's together.
    """

    place: Literal["ready", "waiting", "same", "rules", "circuit"] | None
    leaves: tuple[Literal["ready", "waiting", "leases"], ...] = ()
    queue: str = ""
    rank: float = 0.0
    due_at: datetime | None = None
    attempt: int = 0
    task: str = ""
    origin: Metadata | None = None
    unique: UniqueKey | None = None
    parents: Parents | None = None
    batch: StreamName | None = None
    name: str = ""
    key: str | None = None
    priority: int = 0


class Append(NamedTuple):
    """What one command wants stored, all or nothing.

    Attributes:
        stream: None where the command recorded no event (a refusal is only remembered in the inbox).
        expected_version: version of the stream that the decision was made on; 0 for a new stream.
        key: None where the command needs no inbox row because its repetition is harmless by itself.
        answer: what a repetition of the command is answered, as JSON text.
        work: rows of the inline projections that follow from the events.
        lapsed_attempt: the append is only valid while the lease of this attempt has lapsed, by the database clock of
            the same transaction; otherwise it is a `Conflict`.
        also: another stream's append, without a key, that is stored with this one or not at all.
    """

    stream: StreamName | None
    expected_version: int
    events: Sequence[Event]
    metadata: Metadata
    key: CommandKey | None = None
    answer: str | None = None
    work: Work | None = None
    lapsed_attempt: int | None = None
    also: Append | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A stream as it was loaded.

    Attributes:
        snapshot: state that the events continue from, if one was stored.
        events: all events, or those after the snapshot.
        origin: metadata of the stream's first event.
        position: of the newest event.
    """

    snapshot: Aggregate | None
    events: Sequence[Event]
    origin: Metadata
    position: int


class Appended(NamedTuple):
    """The append is durable. `position` is that of its last event, or None when it had none."""

    position: int | None


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The command was carried out before: its stored answer, and whether the body was the same."""

    answer: str
    position: int | None
    same_body: bool


@dataclass(frozen=True, slots=True)
class Conflict:
    """Somebody else appended to the stream since the decision was made: load and decide again."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The store cannot hold what the append contains; the others of its batch are not harmed."""

    reason: str


@dataclass(frozen=True, slots=True)
class KeyTaken:
    """Another job has the unique key: decide again, knowing which."""

    holder: StreamName


@dataclass(frozen=True, slots=True)
class ParentsMissing:
    """The new job is to wait for jobs that do not exist."""

    job_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BatchClosed:
    """The new job's batch takes no more jobs, or does not exist."""

    batch_id: str
    exists: bool


Outcome = Appended | Duplicate | Conflict | Rejected | KeyTaken | ParentsMissing | BatchClosed


class StoreUnavailable(Exception):
    """Raised when the store cannot be reached or an append's outcome is unknown; repeat it with the same keys."""


class StoreOverloaded(Exception):
    """Raised when more appends wait than the store takes in; slow down and repeat."""


class PublishFailed(Exception):
    """Raised when the broker did not confirm every event; each one's fate is unknown, so publish all again."""


class EventStore(Protocol):
    """The event store: the one place whose loss loses data."""

    async def append(self, appends: Sequence[Append]) -> list[Outcome]:
        """Stores each append or none of it, all in as few transactions as possible; one outcome for each, in order.

        Raises:
            StoreUnavailable: the outcome is unknown; repeat with the same keys.
        """
        ...

    async def load(self, streams: Sequence[StreamName]) -> dict[StreamName, Loaded]:
        """The aggregates' newest snapshots and the events since, for the streams that exist."""
        ...

    async def save_snapshot(self, stream: StreamName, aggregate: Aggregate) -> None:
        """Stores the aggregate's state so that later loads read fewer events; never needed for correctness."""
        ...

    async def history(
        self, stream: StreamName, after_version: int = 0, limit: int = 1_000, until: datetime | None = None
    ) -> list[RecordedEvent]:
        """One stream's events, oldest first."""
        ...

    async def read(self, after: int, limit: int) -> list[RecordedEvent]:
        """Events of all tenants after a position, in order, at most `limit`."""
        ...

    async def head(self) -> int:
        """The newest position."""
        ...


class Outgoing(NamedTuple):
    """One event on its way to the broker. `traceparent` is the W3C trace context that `body` carries too."""

    routing_key: str
    message_id: str
    type: str
    body: bytes
    traceparent: str | None = None


class EventPublisher(Protocol):
    """Carries events to the outside bus."""

    async def publish(self, events: Sequence[Outgoing]) -> None:
        """Publishes in order and returns when the broker has confirmed every one.

        Raises:
            PublishFailed: at least one event's fate is unknown; publish all of them again.
        """
        ...


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """A worker's wish for jobs, held until something is ready or `deadline` (monotonic seconds) passes.

    Attributes:
        tenant: whose the worker is, and whose jobs it wants unless there are `tenants`.
        tenants: whose jobs it wants, in fair shares; `("*",)` is all tenants.
    """

    tenant: str
    worker: str
    queues: tuple[str, ...]
    slots: int
    wait: float
    tenants: tuple[str, ...] = ()


class GrantedJob(NamedTuple):
    """One job that a claim received: `task` is the JSON text from its `Work` row."""

    job_id: str
    attempt: int
    task: str
    tenant: str


@dataclass(frozen=True, slots=True)
class Granted:
    jobs: Sequence[GrantedJob] = ()
    held: float = 0.0


class WorkQueue(Protocol):
    """Claims and leases: who runs which attempt, and until when."""

    async def claim(self, request: ClaimRequest) -> Granted:
        """Waits for work and grants it: the `Started` events are durable when this returns.

        Cancelling the call before it returns grants nothing, or hands back what was granted.
        """
        ...

    async def renew(
        self, tenant: str, worker: str, attempts: Mapping[tuple[str, int], str | None]
    ) -> list[tuple[str, int]]:
        """Confirms and extends leases; returns the (job id, attempt) pairs that are no longer valid.

        Args:
            attempts: for each pair what the attempt tells of itself, as JSON text, or None where that is nothing new.
        """
        ...

    async def withdraw(self, tenant: str, worker: str) -> None:
        """Ends the worker's held claims, in whichever process they are held; it gets no grant any more."""
        ...

    async def beat(self) -> None:
        """Workers can reach this process now. After a time in which none could say so, every lease begins anew."""
        ...

    async def lapsed(self, limit: int) -> list[LapsedLease]:
        """Leases that have lapsed by the database clock; none while renewals could not be served."""
        ...

    async def orphans(self, limit: int) -> list[Orphan]:
        """Waiting jobs that are to be cancelled because one that they wait for has failed."""
        ...

    async def batches(self, limit: int) -> list[BatchCounts]:
        """Sealed batches whose jobs have all ended and that have not been told so."""
        ...

    async def unwanted(self, limit: int) -> list[Unwanted]:
        """Unfinished jobs of cancelled batches."""
        ...

    async def move_due(self) -> float | None:
        """Moves waiting jobs that are due into the ready rows; returns seconds until the next is due, if any."""
        ...


@dataclass(frozen=True, slots=True)
class LapsedLease:
    tenant: str
    job_id: str
    attempt: int
    worker: str
    confirmed: bool


class JobLine(NamedTuple):
    """One line that an attempt has logged.

    Attributes:
        n: counts the attempt's lines from 1 on.
        fields: JSON text, an object.
    """

    job_id: str
    attempt: int
    n: int
    at: datetime
    level: str
    message: str
    fields: str


class JobLogs(Protocol):
    """What attempts have logged: bounded for each, kept for some days, no part of what a replay makes."""

    async def append(self, tenant: str, lines: Sequence[JobLine]) -> int:
        """Keeps lines of attempts that there were, each once, and lets the oldest go; returns how many were new."""
        ...

    async def read(self, tenant: str, job_id: str, attempt: int | None) -> dict[str, Any]:
        """The lines of one attempt, by default of the newest that has any.

        Raises:
            Refusal: there is no such job.
        """
        ...


class WaitingJobs(Protocol):
    """The jobs that wait, ready or not, read from where the claims look."""

    async def newest(self) -> int:
        """The position of the newest event."""
        ...

    async def some(self, tenant: str, queue: str, until: int, limit: int) -> list[str]:
        """The ids of some jobs that wait in the queue and came there up to position `until`."""
        ...


class DueSchedule(NamedTuple):
    """A schedule whose next due time has come.

    Attributes:
        now: by the clock that says so.
        unfinished: whether the job of the last run, `last_job_id`, has not ended.
    """

    tenant: str
    company: str | None
    name: str
    due_at: datetime
    now: datetime
    last_job_id: str | None
    unfinished: bool


class DueSchedules(Protocol):
    """Which schedules are due, by the database's clock. Costs nothing worth speaking of while none is."""

    async def due(self, limit: int) -> list[DueSchedule]:
        """Those that are due and not waiting for a job's end, the longest due first."""
        ...

    async def next_in(self) -> float | None:
        """Seconds until the next one is due, negative where one is; None where none ever is."""
        ...


@dataclass(frozen=True, slots=True)
class Orphan:
    tenant: str
    job_id: str
    parent_id: str


@dataclass(frozen=True, slots=True)
class Unwanted:
    tenant: str
    job_id: str
    batch_id: str


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """A batch whose jobs have all ended. `is_complete` says that this was noted; then all have completed since."""

    tenant: str
    batch_id: str
    total: int
    completed: int
    failed: int
    cancelled: int
    is_complete: bool


SubscriptionHold = Literal["held", "taken", "unknown"]


class SubscriptionLeases(Protocol):
    """Which worker delivers a subscription: one at a time, by the database clock."""

    async def take(self, tenant: str, name: str, worker: str, seconds: float) -> SubscriptionHold:
        """Gives the worker the subscription for `seconds` from now, or renews what it has.

        `taken` means that another worker's lease has not run out; `unknown` that there is no such subscription.
        """
        ...

    async def release(self, tenant: str, name: str, worker: str) -> None:
        """Lets another worker have it at once; changes nothing where `worker` does not hold it."""
        ...


class FoundJob(NamedTuple):
    """A job that fits a filter, and the position that goes on behind it."""

    job_id: str
    position: int


class JobFinder(Protocol):
    """Finds jobs in the read model by what callers filter by: name, queue, status, times, error.

    `filters` has what is to be equal or to hold, by the names of the command's fields.
    """

    async def newest(self) -> int:
        """A position that every job which was accepted before lies below; waits until they can be found.

        Raises:
            Refusal: the read model has not caught up in time.
        """
        ...

    async def find(
        self, tenant: str, filters: Mapping[str, object], after: int, until: int, limit: int
    ) -> list[FoundJob]:
        """Jobs in the order in which they were enqueued, with positions in (after, until]."""
        ...

    async def count(self, tenant: str, filters: Mapping[str, object], after: int, until: int) -> int:
        """How many jobs `find` would find in all."""
        ...


class ExpiredJobs(Protocol):
    """Finds ended jobs in the read model by their age."""

    async def find(self, status: str, age: float, limit: int) -> list[tuple[str, str]]:
        """(tenant, job id) of the oldest jobs of a status about which nothing was recorded for `age` seconds."""
        ...


class DueProgress(Protocol):
    """Finds progress in the read model by what time has done to it, by the database's clock."""

    async def silent(self, limit: int) -> list[tuple[str, str]]:
        """(tenant, id) of those of which nothing was heard for as long as they say is too long."""
        ...

    async def expired(self, status: str, age: float, limit: int) -> list[tuple[str, str]]:
        """(tenant, id) of the oldest of an ended status about which nothing was recorded for `age` seconds."""
        ...


class Readers(Protocol):
    """Positions of the log's readers, and which process leads each of them."""

    async def ensure(self, name: str, position: int = 0) -> None:
        """Adds a reader that begins at `position`; one that is there stays as it is."""
        ...

    async def position(self, name: str) -> int:
        """The position that the reader has saved."""
        ...

    async def advance(self, name: str, position: int) -> None:
        """Moves a reader forward; never back."""
        ...

    async def hold(self, name: str, stream: StreamName, position: int, error: str) -> None:
        """Notes that the reader goes on without a stream."""
        ...

    async def held_streams(self, name: str) -> set[str]:
        """The streams that the reader goes on without."""
        ...

    def leadership(self, name: str) -> AbstractAsyncContextManager[object]:
        """Waits until this process leads the reader; lasts as long as the context."""
        ...


class Clock(Protocol):
    """The database's time, as every process sees it."""

    def now(self) -> datetime: ...


class Doorbell(Protocol):
    """Wakes whoever tails the store. Ringing carries no data, and a missed ring only costs the polling interval."""

    async def wait(self, seen: int, timeout: float) -> int:
        """Returns the newest known position once it exceeds `seen`, or after `timeout` seconds."""
        ...


class AttemptCount(NamedTuple):
    """So many attempts of a name that started and ended at these times, to the second, in the same way."""

    tenant: str
    name: str
    started_at: datetime
    ended_at: datetime
    completed: bool
    number: int


class CircuitRow(NamedTuple):
    """A circuit as the claims know it; `is_due` when its pause is over."""

    tenant: str
    name: str
    state: str
    enabled: bool
    is_due: bool


class CircuitSum(NamedTuple):
    """What has been counted within a circuit's window since it last changed; `policy` is None where the file has it."""

    tenant: str
    name: str
    state: str
    policy: dict[str, Any] | None
    completed: int
    failed: int


class CircuitBook(Protocol):
    """What all processes together know of circuits."""

    async def circuits(self) -> list[CircuitRow]:
        """All of them."""
        ...

    async def add(self, counts: Sequence[AttemptCount]) -> None:
        """Counts attempts."""
        ...

    async def sums(self, windows: Mapping[str, float]) -> list[CircuitSum]:
        """What has been counted of each name that has a circuit, or a window in seconds by the configuration file."""
        ...

    async def let_through(self) -> None:
        """Has jobs that wait for a circuit become due, as far as it lets them through."""
        ...
