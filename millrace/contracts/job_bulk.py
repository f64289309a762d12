"""Changing many jobs at once, on the wire."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from millrace.contracts.job_fields import JobStatus, Time
from millrace.contracts.job_reading import ErrorWords
from millrace.contracts.wire import Fact, Identifier, Message, Name, Text

PAGE = 1_000


class _Many(Message):
    """Which jobs, and how many of them in this call.

    Attributes:
        error: words that the error of one of its attempts has, all of them, whole and in any case, as in `job.list`.
        batch: id of the batch that they belong to.
        dry_run: only counts.
        limit: most jobs to change in this call; where there are more, the answer has a `cursor`.
        cursor: of the call before, to go on behind it.
    """

    name: Name | None = None
    queue: Name | None = None
    status: JobStatus | None = None
    created_after: Time | None = None
    created_before: Time | None = None
    error: Annotated[ErrorWords, Field(min_length=1)] | None = None
    batch: Identifier | None = None
    reason: Text | None = None
    dry_run: bool = False
    limit: Annotated[int, Field(ge=1, le=10_000)] = PAGE
    cursor: str | None = Field(None, max_length=64)

    @model_validator(mode="after")
    def _is_chosen(self) -> _Many:
        chosen = (self.name, self.queue, self.status, self.created_after, self.created_before, self.error, self.batch)
        if all(value is None for value in chosen):
            raise ValueError(
                "give at least one filter: name, queue, status, created_after, created_before, error or batch"
            )
        return self


class CancelMany(_Many):
    """`job.cancel_many`: cancels the unfinished jobs that fit all filters; `status` narrows them further.

    Each job is cancelled by a command of its own, so the call may be repeated, and what ended meanwhile stays as it is.
    """


class RetryMany(_Many):
    """`job.retry_many`: takes the dead letters that fit all filters out of the dead letters, like `job.retry`."""


class Bulk(Fact):
    """Answer to `job.cancel_many` and `job.retry_many`.

    Attributes:
        matched: jobs that fitted: all of them in a dry run, else those that this call has looked at.
        changed: of these, jobs that are now as wished.
        refused: of these, jobs that had changed meanwhile, or whose unique key is taken.
        cursor: to go on with where there are more.
    """

    matched: int
    changed: int = 0
    refused: int = 0
    cursor: str | None = None


COMMANDS: dict[str, type[Message]] = {"job.cancel_many": CancelMany, "job.retry_many": RetryMany}
