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


class ProgressExists(Refusal):
    """Raised when a progress is created under an id that another one has."""

    code = "already-exists"

    def __init__(self, id: str) -> None:
        super().__init__(
            f"there is a progress {id!r} with other options; choose another id, or repeat it with the same"
        )
        self.id = id


class NoSuchProgress(Refusal):
    """Raised when a progress is asked for something after it was removed."""

    code = "not-found"

    def __init__(self) -> None:
        super().__init__("the progress was removed")


class ProgressEnded(Refusal):
    """Raised when a progress that has ended is asked for what only an open one can do."""

    def __init__(self, status: str) -> None:
        hint = "" if status == "completed" else "; resume it first"
        super().__init__(f"the progress has already ended: it is {status}{hint}")
        self.status = status


class UnknownStage(Refusal):
    """Raised when an update names a stage that the progress does not have."""

    code = "invalid"

    def __init__(self, stage: str, known: Sequence[str]) -> None:
        has = f"it has {', '.join(known)}" if known else "it was created without stages"
        super().__init__(f"stage: there is no stage {stage!r}; {has}")
        self.stage, self.known = stage, tuple(known)


class NoStages(Refusal):
    """Raised when a progress without stages is to advance to the next one."""

    def __init__(self) -> None:
        super().__init__("the progress has no stages; create it with `stages`, or update its percent")


class NotFurther(Refusal):
    """Raised when a progress is to advance to a stage that does not lie behind the current one."""

    def __init__(self, stage: str, current: str) -> None:
        super().__init__(f"stage {stage!r} does not come after {current!r}, the current one; stages never go backwards")
        self.stage, self.current = stage, current


class ComputedFromChildren(Refusal):
    """Raised when a caller updates a progress that follows from its children."""

    def __init__(self) -> None:
        super().__init__("this progress follows from its children; update those")


class ProgressRing(Refusal):
    """Raised when a progress is created as a part of one that it is itself a part of, directly or not."""

    code = "progress-ring"

    def __init__(self, ring: Sequence[str]) -> None:
        shown = [*ring[:4], "…", *ring[-3:]] if len(ring) > 8 else ring
        super().__init__(f"parent_id: it would be a part of itself: {' → '.join(shown)}; choose another parent or none")
        self.ring = tuple(ring)

    @property
    def extra(self) -> Mapping[str, Any]:
        return {"ring": list(self.ring)}


class TooManyWholes(Refusal):
    """Raised when a progress is created below more others, one in the other, than are followed."""

    code = "invalid"

    def __init__(self, most: int) -> None:
        super().__init__(
            f"parent_id: a progress lies in {most} others at most, one in the other; choose one further up"
        )
        self.most = most


class TooManyChildren(Refusal):
    """Raised when a progress gets more children than one can follow."""

    def __init__(self, most: int) -> None:
        super().__init__(f"the progress has {most} children; group them under parents of their own")
        self.most = most


class NoSuchNotification(Refusal):
    """Raised when a notification is another user's, or has left the read models."""

    code = "not-found"

    def __init__(self, stream: str) -> None:
        super().__init__("there is no such notification of this user")
        self.stream = stream


class NothingToCancel(Refusal):
    """Raised when a notification that has gone out altogether is to be cancelled."""

    def __init__(self, stream: str) -> None:
        super().__init__("there is nothing to cancel: it has gone out through every channel, and no inbox shows it")
        self.stream = stream


class NotInInbox(Refusal):
    """Raised when a notification that no inbox shows is to be snoozed."""

    def __init__(self, stream: str) -> None:
        super().__init__("the inbox does not show this notification, so it cannot be snoozed")
        self.stream = stream


class NotSent(Refusal):
    """Raised when a message has arrived, or is to be sent again, that was never to be sent through that channel."""

    def __init__(self, stream: str, channel: str) -> None:
        super().__init__(f"nothing was sent through {channel}")
        self.stream, self.channel = stream, channel


class NoSuchTemplate(Refusal):
    """Raised when a template, or the version of it that is asked for, does not exist."""

    code = "not-found"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no template {name!r}, or not this version of it")
        self.name = name


class UnknownTemplate(Refusal):
    """Raised when a notification is to be made from a template that is neither stored nor in the service's folder."""

    code = "invalid"

    def __init__(self, name: str) -> None:
        super().__init__(f"template: there is no template {name!r}; save it, or put it into the service's folder")
        self.name = name


class TemplateUnfilled(Refusal):
    """Raised when a template cannot be filled with what it was given; nothing is sent."""

    code = "invalid"

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"template {name!r} cannot be filled: {detail}")
        self.name, self.detail = name, detail
