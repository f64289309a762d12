"""How the command line prints: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

from millrace.contracts.job import Job, JobStatus
from millrace.contracts.log import CloudEvent

STATUS_STYLES = {
    JobStatus.PENDING: "cyan",
    JobStatus.DELAYED: "yellow",
    JobStatus.PROCESSING: "blue",
    JobStatus.COMPLETED: "green",
    JobStatus.FAILED: "red",
    JobStatus.CANCELLED: "bright_black",
}
DETAIL_WIDTH = 100


def print_json(value: object) -> None:
    """One line of JSON on standard output; models as they go over the wire."""
    sys.stdout.write(json.dumps(value, default=_plain, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def print_jobs(jobs: Sequence[Job]) -> None:
    """A table with one line for each job."""
    table = Table("id", "name", "status", "queue", "priority", "attempts", "created", "error")
    for job in jobs:
        error = (job.error or "").partition("\n")[0][:DETAIL_WIDTH]
        attempts = f"{job.attempts}/{job.max_attempts}"
        place = (job.id, job.name, status(job), job.queue, str(job.priority))
        table.add_row(*place, attempts, moment(job.created_at), Text(error))
    Console().print(table)


def status(job: Job) -> Text:
    """The job's status in its color."""
    label = f"{job.status.value}, dead letter" if job.dead_lettered else job.status.value
    return Text(label, style=STATUS_STYLES[job.status])


def moment(at: datetime | None) -> str:
    """A time in this machine's time zone, to the millisecond."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] if at else ""


def detail(event: CloudEvent) -> str:
    """The event's data in one short line."""
    text = json.dumps(event.data, ensure_ascii=False, default=str)
    return text if len(text) <= DETAIL_WIDTH else f"{text[: DETAIL_WIDTH - 1]}…"


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    return str(value)
