"""What has become due."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, Protocol


class DueSchedule(NamedTuple):
    """A schedule whose next due time has come.

    Attributes:
        now: by the clock that says so.
        unfinished: whether the job of the last run, `last_job_id`, has not ended.
    """

    tenant: str
    company: str | None
    name: str
    due_at: datetime
    now: datetime
    last_job_id: str | None
    unfinished: bool


class DueSchedules(Protocol):
    """Which schedules are due, by the database's clock. Costs nothing worth speaking of while none is."""

    async def due(self, limit: int) -> list[DueSchedule]:
        """Those that are due and not waiting for a job's end, the longest due first."""
        ...

    async def next_in(self) -> float | None:
        """Seconds until the next one is due, negative where one is; None where none ever is."""
        ...


class LeftBehind(NamedTuple):
    """An open progress of a job that has ended."""

    tenant: str
    id: str
    job_id: str


class DueProgress(Protocol):
    """Finds progress in the read model by what time has done to it, by the database's clock."""

    async def silent(self, limit: int) -> list[tuple[str, str]]:
        """(tenant, id) of those of which nothing was heard for as long as they say is too long."""
        ...

    async def left_behind(self, limit: int) -> list[LeftBehind]:
        """Those that jobs have made which ended without them: while they waited, or with their worker."""
        ...

    async def expired(self, status: str, age: float, limit: int) -> list[tuple[str, str]]:
        """(tenant, id) of the oldest of an ended status about which nothing was recorded for `age` seconds."""
        ...
