"""One append: new events of an aggregate with what is stored together with them, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from domain.aggregate import Aggregate, Event
from domain.ports.log import Metadata, StreamName


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
        affinity: seconds for which it would rather wait for the worker that ran its key's last job.
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
    affinity: float | None = None


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


@dataclass(frozen=True, slots=True)
class PartOfItself:
    """The new progress would be a part of itself: `ring` is the way from it up to it again."""

    ring: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PartTooDeep:
    """The new progress would be a part of more wholes, one in the other, than are followed."""

    id: str


Outcome = (
    Appended | Duplicate | Conflict | Rejected | KeyTaken | ParentsMissing | BatchClosed | PartOfItself | PartTooDeep
)
