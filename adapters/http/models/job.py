"""Answers about jobs and dead letters."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from millrace.contracts.deadletter import DeadLetter
from millrace.contracts.job import Job, JobStatus


class JobCreated(BaseModel):
    """Answer to `POST /api/jobs`; `existing` where another job with the unique key is the answer."""

    job_id: str
    existing: bool = False


class Enqueued(BaseModel):
    """Answer to `job.enqueue`; `existing` where another job with the unique key is the answer."""

    job_id: str
    status: JobStatus
    created_at: datetime
    run_at: datetime | None = None
    existing: bool = False


class Canceled(BaseModel):
    """Answer to `job.cancel`."""

    job_id: str
    status: JobStatus
    success: bool


class ChangedJob(BaseModel):
    """Answer to `job.change`, `job.edit`, `job.retry`, `job.report` and `job.checkpoint`."""

    job_id: str
    status: JobStatus


class Undone(BaseModel):
    """Answer to `job.undo`."""

    job_id: str
    status: JobStatus
    undone: Literal["retry", "edit"]


class Removed(BaseModel):
    """Answer to `job.remove`."""

    job_id: str
    success: bool


def _second_names(schema: dict[str, Any]) -> None:
    properties = schema["properties"]
    properties["payload"] = {**properties["data"], "title": "Payload", "description": "the same as `data`"}
    properties["processed_at"] = {
        **properties["started_at"],
        "title": "Processed At",
        "description": "the same as `started_at`",
    }


class JobView(Job):
    """A job, with the second names that some of its fields have."""

    model_config = ConfigDict(json_schema_extra=_second_names)


class DeadLetterView(DeadLetter):
    """A dead letter, with the second names that some of its fields have."""

    model_config = ConfigDict(json_schema_extra=_second_names)


class JobAnswer(BaseModel):
    """Answer to `job.get`."""

    job: Job


class JobPage(BaseModel):
    """Answer to `job.list`."""

    jobs: list[Job]
    cursor: str | None = None
