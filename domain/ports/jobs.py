"""What is asked about jobs beside their events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from domain.progress_jobs import JobCounts


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


class BatchTally(NamedTuple):
    """A batch that has a progress, and its counts now."""

    tenant: str
    batch_id: str
    counts: JobCounts


class TrackedBatches(Protocol):
    """The batches that have a progress of the same id."""

    async def untold(self, limit: int) -> list[BatchTally]:
        """Those whose counts are others than the progress was told."""
        ...

    async def note_told(self, tallies: Sequence[BatchTally]) -> None:
        """These counts need not be told again."""
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
