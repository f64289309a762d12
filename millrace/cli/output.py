"""How the command line prints: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel
from rich.box import SIMPLE_HEAD
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
TOLD_FIRST = ("reason", "until", "retry_at", "run_at", "due_at", "next_due_at", "error", "detail")
DETAIL_WIDTH = 100
PIPE_WIDTH = 240
WIDE = 130
T = TypeVar("T")


def print_json(value: object) -> None:
    """One line of JSON on standard output; models as they go over the wire."""
    sys.stdout.write(json.dumps(value, default=_plain, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def print_found(found: list[T], as_json: bool, print_table: Callable[[list[T]], None]) -> None:
    """What was found: for programs a line of JSON each, for people a table."""
    if not as_json:
        return print_table(found)
    for each in found:
        print_json(each)
    return None


def console() -> Console:
    """Standard output; where it is no terminal, lines are as wide as what they show."""
    return Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)


def print_jobs(jobs: Sequence[Job]) -> None:
    """A table with one line for each job, ids in full; a narrow terminal gets fewer columns."""
    screen = console()
    wide = screen.width >= WIDE
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for title in ("id", "name", "status", "tries", *(("queue", "priority", "created") if wide else ())):
        table.add_column(title, no_wrap=True)
    table.add_column("error")
    for job in jobs:
        more = (job.queue, str(job.priority), moment(job.created_at)) if wide else ()
        error = Text((job.error or "").partition("\n")[0][:DETAIL_WIDTH], no_wrap=True, overflow="ellipsis")
        table.add_row(job.id, job.name, status(job), f"{job.attempts}/{job.max_attempts}", *more, error)
    screen.print(table)


def status(job: Job) -> Text:
    """The job's status in its color."""
    label = "dead letter" if job.dead_lettered else job.status.value
    return Text(label, style=STATUS_STYLES[job.status])


def moment(at: datetime | None) -> str:
    """A time in this machine's time zone, to the millisecond."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] if at else ""


def detail(event: CloudEvent, width: int = DETAIL_WIDTH) -> str:
    """The event's data in one line of at most `width` characters; what says why and when comes first."""
    first = {name: event.data[name] for name in TOLD_FIRST if event.data.get(name) is not None}
    text = json.dumps({**first, **event.data}, ensure_ascii=False, default=str)
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    return str(value)
