"""Dead letters on the wire: the commands that mend a job, and the queries that show what failed and why."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, model_validator

from millrace.contracts.job_bulk import Bulk
from millrace.contracts.job_fields import Time
from millrace.contracts.job_reading import Job
from millrace.contracts.json_patch import Patch
from millrace.contracts.wire import Fact, Identifier, Message, Name, Text

Fingerprint = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class EditDead(Message):
    """`job.edit`: changes the data of a dead-lettered job for its next attempt. The original stays in its history.

    Attributes:
        patch: a JSON Patch (RFC 6902) on the job's data, all of it or nothing.
    """

    job_id: Identifier
    patch: Patch
    reason: Text | None = None


class Undo(Message):
    """`job.undo`: takes back the last retry, while the job has not started, else the last edit of a dead letter."""

    job_id: Identifier
    reason: Text | None = None


class DeadLetterFilter(Message):
    """Which dead letters are meant; all of them where nothing is given.

    Attributes:
        fingerprint: of a group in `deadletter.groups`.
        failed_after: joined the dead letters at this time or later.
        failed_before: joined them before this time.
    """

    name: Name | None = None
    queue: Name | None = None
    fingerprint: Fingerprint | None = None
    failed_after: Time | None = None
    failed_before: Time | None = None


class _Mend(DeadLetterFilter):
    """A change to all dead letters that the filter leaves.

    Attributes:
        reason: kept with each of them, as is who wants it.
        dry_run: changes nothing; the answer counts and names the jobs that would be changed.
        limit: most jobs to change, or to name, in this call; where there are more, the answer has a `cursor`.
        cursor: of the call before, to go on behind it.
    """

    reason: Text | None = None
    dry_run: bool = False
    limit: Annotated[int, Field(ge=1, le=10_000)] = 1_000
    cursor: str | None = Field(None, max_length=64)


class RetryDeadLetters(_Mend):
    """`deadletter.retry`: gives the dead letters that the filter leaves new attempts, each like `job.retry`."""


class PurgeDeadLetters(_Mend):
    """`deadletter.purge`: takes the dead letters that the filter leaves out of the read models; the log keeps them.

    One that somebody has retried meanwhile stays.
    """


class Mended(Bulk):
    """Answer to `deadletter.retry` and `deadletter.purge`; `job_ids` names the jobs that are now as wished.

    In a dry run it names those that would be, of which there are `matched` from this page on.
    """

    job_ids: tuple[str, ...] = ()


class ListDeadLetters(DeadLetterFilter):
    """Query `deadletter.list`: newest job first, in pages."""

    limit: Annotated[int, Field(ge=1, le=1_000)] = 50
    cursor: str | None = Field(None, max_length=256)


class ListFailures(DeadLetterFilter):
    """Query `deadletter.groups`: the failures that the dead letters have in common, the most frequent first."""

    limit: Annotated[int, Field(ge=1, le=1_000)] = 50


class GetDeadLetter(Message):
    """Query `deadletter.get`: one dead letter with its original data and everything that was done about it."""

    job_id: Identifier


class PreviewEdit(DeadLetterFilter):
    """Query `deadletter.preview`: what `job.edit` and `job.retry` would do, without doing it.

    Attributes:
        job_id: this one job; else all that the filter leaves.
        patch: tried on each of them; without it the data is shown as the retry would use it.
        limit: most changes shown; `count` is of all.
    """

    job_id: Identifier | None = None
    patch: Patch | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 20

    @model_validator(mode="after")
    def _one_or_filtered(self) -> PreviewEdit:
        if self.job_id is not None and self.model_fields_set & set(DeadLetterFilter.model_fields):
            raise ValueError("give either `job_id` or filters, not both")
        return self


class DeadLetter(Job):
    """A dead-lettered job. `fingerprint` is that of its failure."""

    fingerprint: str


class DeadLetterPage(Fact):
    """Answer to `deadletter.list`."""

    jobs: tuple[DeadLetter, ...]
    cursor: str | None = None


class FailureGroup(Fact):
    """Dead letters of one job name that failed the same way.

    Attributes:
        message: the error's first line, with `*` for what differs from job to job.
        frame: the innermost place of the traceback, `file:function`.
        job_id: the one that failed last.
    """

    fingerprint: str
    name: str
    type: str
    message: str
    frame: str
    count: int
    first_at: datetime
    last_at: datetime
    job_id: str


class FailureGroups(Fact):
    """Answer to `deadletter.groups`: `total` counts the groups, also those beyond `limit`."""

    groups: tuple[FailureGroup, ...]
    total: int


class Intervention(Fact):
    """What somebody did about a job: who, when, why, and for an edit the patch."""

    event: str
    at: datetime
    actor: str | None = None
    reason: str | None = None
    patch: tuple[dict[str, Any], ...] | None = None


class DeadLetterDetail(Fact):
    """Answer to `deadletter.get`. `original` is the data that the job was enqueued with."""

    job: DeadLetter
    original: dict[str, Any]
    interventions: tuple[Intervention, ...]


class EditPreview(Fact):
    """One job in a preview: its data, the data that its next attempt would get, or why the patch does not fit."""

    job_id: str
    data: dict[str, Any]
    edited: dict[str, Any] | None = None
    problem: str | None = None


class Preview(Fact):
    """Answer to `deadletter.preview`: `count` jobs are meant, of which the newest are shown."""

    count: int
    changes: tuple[EditPreview, ...]


class JobEdited(Fact):
    """A dead-lettered job got other data: `patch` is the change (RFC 6902), `data` what it came to."""

    patch: tuple[dict[str, Any], ...]
    data: dict[str, Any]
    reason: str | None = None


class JobEditUndone(Fact):
    """The job has the data again that it had before its last edit."""

    data: dict[str, Any]
    reason: str | None = None


class JobRetryUndone(Fact):
    """The job is among the dead letters again, as if it had not been retried."""

    max_attempts: int
    failed_at: datetime
    reason: str | None = None


COMMANDS: dict[str, type[Message]] = {
    "job.edit": EditDead,
    "job.undo": Undo,
    "deadletter.retry": RetryDeadLetters,
    "deadletter.purge": PurgeDeadLetters,
}
QUERIES: dict[str, type[Message]] = {
    "deadletter.list": ListDeadLetters,
    "deadletter.groups": ListFailures,
    "deadletter.get": GetDeadLetter,
    "deadletter.preview": PreviewEdit,
}
EVENTS: dict[str, type[Fact]] = {
    "job.edited": JobEdited,
    "job.edit_undone": JobEditUndone,
    "job.retry_undone": JobRetryUndone,
}
