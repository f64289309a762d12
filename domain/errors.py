"""Refusals: what an aggregate answers when a command asks for what its rules do not allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class Refusal(Exception):
    """Base of all refusals. Raised by decisions; the caller is told `code` and the text, and nothing was changed."""

    code: ClassVar[str] = "refused"

    @property
    def extra(self) -> Mapping[str, Any]:
        """What programs are told besides the code and the text."""
        return {}


class StaleAttempt(Refusal):
    """Raised when a report comes from an attempt that is no longer the valid one; its outcome is not recorded."""

    code = "stale-attempt"

    def __init__(self, attempt: int, current: int, status: str) -> None:
        newer = f" in attempt {current}" if current != attempt else ""
        super().__init__(f"attempt {attempt} is not valid any more: the job is {status}{newer}")
        self.attempt, self.current, self.status = attempt, current, status


class ClaimsNotAllowed(Refusal):
    """Raised when a credential claims jobs of tenants that it is not allowed to work for."""

    code = "claims-not-allowed"

    def __init__(self, tenants: Sequence[str]) -> None:
        named = "all tenants" if "*" in tenants else ", ".join(tenants)
        super().__init__(
            f"this credential may not claim jobs of {named}; the setting claims_for of its key or user says whose"
        )
        self.tenants = tuple(tenants)


class JobEnded(Refusal):
    """Raised when a job that has ended is asked to change."""

    def __init__(self, status: str) -> None:
        super().__init__(f"the job has already ended: it is {status}")
        self.status = status


class JobRunning(Refusal):
    """Raised when a running job is asked for what only a waiting or ended one can do."""

    def __init__(self) -> None:
        super().__init__("the job is running; cancel it first")


class NotDeadLettered(Refusal):
    """Raised when a job that is not among the dead letters is asked to leave them."""

    def __init__(self, status: str) -> None:
        super().__init__(f"the job is not among the dead letters: it is {status}")
        self.status = status


class PatchMismatch(Refusal):
    """Raised when a change to a job's data does not fit the data that the job has."""


class NothingToUndo(Refusal):
    """Raised when neither a retry nor an edit of the job can be taken back."""

    def __init__(self, status: str) -> None:
        super().__init__(
            f"there is nothing to undo: the job is {status}; a retry can be undone until the job starts, and an edit"
            " while the job is among the dead letters"
        )
        self.status = status


class DuplicateJob(Refusal):
    """Raised when a job's unique key is taken by another one that is neither to be returned nor can be replaced."""

    code = "duplicate-job"

    def __init__(self, key: str, job_id: str, running: bool = False) -> None:
        why = "which is running and so cannot be replaced" if running else "which has not ended"
        super().__init__(f"the unique key {key!r} is taken by job {job_id}, {why}")
        self.key, self.job_id = key, job_id

    @property
    def extra(self) -> Mapping[str, Any]:
        return {"job_id": self.job_id}


class UnknownParents(Refusal):
    """Raised when a job is to run after jobs that do not exist, or not any more; parents have to be accepted first."""

    code = "unknown-parent"

    def __init__(self, job_ids: Sequence[str]) -> None:
        named = ", ".join(job_ids[:5]) + (" …" if len(job_ids) > 5 else "")
        super().__init__(f"`after` names jobs that do not exist: {named}; enqueue parents before their children")
        self.job_ids = tuple(job_ids)

    @property
    def extra(self) -> Mapping[str, Any]:
        return {"job_ids": list(self.job_ids[:100])}


class UnknownBatch(Refusal):
    """Raised when a job names a batch that does not exist."""

    code = "unknown-batch"

    def __init__(self, batch_id: str) -> None:
        super().__init__(f"there is no batch {batch_id!r}; create it before its jobs")
        self.batch_id = batch_id


class BatchIsSealed(Refusal):
    """Raised when a job is to be added to a batch that takes no more."""

    code = "batch-sealed"

    def __init__(self, batch_id: str) -> None:
        super().__init__(f"batch {batch_id} is sealed; enqueue the job without it, or into a new one")
        self.batch_id = batch_id


class BatchEnded(Refusal):
    """Raised when a batch whose jobs have all ended is to be cancelled."""

    def __init__(self, stream: str) -> None:
        super().__init__("all jobs of the batch have ended")
        self.stream = stream


class NotParked(Refusal):
    """Raised when an event is released that the subscription has not parked."""

    def __init__(self, name: str, event_id: str) -> None:
        super().__init__(f"subscription {name!r} has not parked event {event_id}")
        self.name, self.event_id = name, event_id


class TooManyParked(Refusal):
    """Raised when a subscription has parked so many events that something else must be wrong."""

    def __init__(self, name: str, most: int) -> None:
        super().__init__(f"subscription {name!r} has {most} parked events; release some before it goes on")
        self.name, self.most = name, most


class AheadOfLog(Refusal):
    """Raised when a subscription acknowledges a position that it cannot have read."""

    def __init__(self, name: str, position: int, head: int) -> None:
        super().__init__(f"subscription {name!r} cannot acknowledge position {position}: the log ends at {head}")
        self.name, self.position, self.head = name, position, head


class UnreadableHistory(Refusal):
    """Raised when a stream has an event that this release cannot decode; nothing can be decided on it until it can."""

    code = "internal"

    def __init__(self, stream: str, version: int, topic: str, error: str) -> None:
        super().__init__(f"event {version} of {stream} ({topic}) cannot be read: {error}")
        self.stream, self.version, self.topic, self.error = stream, version, topic, error


class StreamIsArchived(UnreadableHistory):
    """Raised when a command is about something whose events have left the log; its history can be read."""

    code = "archived"

    def __init__(self, stream: str, object_name: str) -> None:
        Refusal.__init__(self, f"{stream} has been archived: its history is in the object {object_name}")
        self.stream, self.object_name = stream, object_name


class NoSuchSchedule(Refusal):
    """Raised when a schedule is asked for something after it was removed."""

    code = "not-found"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no schedule {name!r}: it was removed")
        self.name = name
