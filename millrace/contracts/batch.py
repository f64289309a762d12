"""Batches on the wire: jobs that belong together."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, field_validator

from millrace.contracts.job_fields import Priority
from millrace.contracts.progress_fields import Share, Silence, bounded
from millrace.contracts.wire import Fact, Identifier, Message, Name, Text

MOST_JOBS = 10_000_000


class Callback(Message):
    """A job that a batch enqueues; its data has the batch's counts besides, as `batch`."""

    name: Name
    data: dict[str, Any] = Field(default_factory=dict)
    queue: Name = "default"
    priority: Priority = 0


def _callback(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


Wish = Annotated[Callback | None, BeforeValidator(_callback)]


class BatchProgress(Message):
    """The progress that a batch is to have, under the batch's id: the share of its jobs that are completed.

    Attributes:
        expected: how many jobs there will be; without it the percent begins when the batch is sealed.
        parent_id: the progress that this one is a part of, and `weight` what it counts there.
        stall_after: seconds in which nothing of the jobs changes, after which `progress.stalled` is recorded.
    """

    expected: Annotated[int, Field(ge=1, le=MOST_JOBS)] | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    user_id: Identifier | None = None
    type: Name | None = None
    parent_id: Identifier | None = None
    weight: Share = 1.0
    stall_after: Silence | None = None

    @field_validator("metadata")
    @classmethod
    def _bounded(cls, value: dict[str, Any]) -> dict[str, Any]:
        return bounded(value)


def _progress(value: object) -> object:
    if isinstance(value, bool):
        return {} if value else None
    return value


def _names_too(schema: dict[str, Any]) -> None:
    """A callback may be given as its job's name, for whoever validates against the schema."""
    for field in ("on_complete", "on_success"):
        name = {"type": "string", "minLength": 1, "maxLength": 128, "description": "the job's name alone"}
        schema["properties"][field]["anyOf"].append(name)
    schema["properties"]["progress"]["anyOf"].append({"type": "boolean", "description": "whether it has one"})


class CreateBatch(Message):
    """`batch.create`: an empty batch; jobs are added by enqueuing them with its id as `batch`, until it is sealed.

    Attributes:
        on_complete: the job that is enqueued once all jobs of the sealed batch have ended, however they did.
        on_success: the job that is enqueued once all of them have completed, be it after a dead letter was retried.
        progress: makes a progress under the batch's id that follows from its jobs.
    """

    model_config = ConfigDict(json_schema_extra=_names_too)

    name: Name
    on_complete: Wish = None
    on_success: Wish = None
    progress: Annotated[BatchProgress | None, BeforeValidator(_progress)] = None


class SealBatch(Message):
    """`batch.seal`: the batch takes no more jobs."""

    batch_id: Identifier


class CancelBatch(Message):
    """`batch.cancel`: seals the batch and cancels its unfinished jobs."""

    batch_id: Identifier
    reason: Text | None = None


class GetBatch(Message):
    """Query `batch.get`."""

    batch_id: Identifier


class ListBatches(Message):
    """Query `batch.list`: newest first, in pages.

    Attributes:
        is_complete: whether all jobs have ended.
    """

    name: Name | None = None
    is_complete: bool | None = None
    limit: Annotated[int, Field(ge=1, le=1_000)] = 50
    cursor: str | None = Field(None, max_length=64)


class Batch(Fact):
    """A batch as it is read.

    Attributes:
        total: jobs that were added; of these `open` have not ended.
        progress: share of the jobs that have ended, 0 to 1; 0 while there is none.
    """

    id: str
    name: str
    total: int
    open: int
    completed: int
    failed: int
    cancelled: int
    progress: float
    is_sealed: bool
    is_cancelled: bool
    is_complete: bool
    is_success: bool
    created_at: datetime


class BatchCreated(Fact):
    name: str
    on_complete: dict[str, Any] | None = None
    on_success: dict[str, Any] | None = None


class BatchSealed(Fact):
    pass


class BatchCancelled(Fact):
    reason: str | None = None


class BatchCompleted(Fact):
    """All jobs of the sealed batch have ended; told once."""

    total: int
    completed: int
    failed: int
    cancelled: int


class BatchSucceeded(Fact):
    """All jobs of the sealed batch have completed; told once."""

    total: int


COMMANDS: dict[str, type[Message]] = {
    "batch.create": CreateBatch,
    "batch.seal": SealBatch,
    "batch.cancel": CancelBatch,
}
QUERIES: dict[str, type[Message]] = {"batch.get": GetBatch, "batch.list": ListBatches}
EVENTS: dict[str, type[Fact]] = {
    "batch.created": BatchCreated,
    "batch.sealed": BatchSealed,
    "batch.cancelled": BatchCancelled,
    "batch.completed": BatchCompleted,
    "batch.succeeded": BatchSucceeded,
}
