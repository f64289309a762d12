"""What happens to a schedule."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from domain.aggregate import Event

if TYPE_CHECKING:
    from domain.schedule import Schedule


class Planned(Event):
    """What creating and changing have in common.

    Attributes:
        anchor: where an interval is counted from.
        next_due_at: computed when it was recorded, so that a replay knows no time zones.
    """

    TOPIC: ClassVar[str] = "schedule.planned"
    cron: str | None
    every: float | None
    timezone: str
    job: dict[str, Any]
    missed: str
    grace: float
    catch_up: int
    overlap: str
    starts_at: datetime | None
    ends_at: datetime | None
    anchor: datetime
    next_due_at: datetime | None

    def apply(self, schedule: Schedule) -> None:
        schedule.cron, schedule.every, schedule.timezone, schedule.job = self.cron, self.every, self.timezone, self.job
        schedule.missed, schedule.grace, schedule.catch_up = self.missed, self.grace, self.catch_up
        schedule.overlap, schedule.starts_at, schedule.ends_at = self.overlap, self.starts_at, self.ends_at
        schedule.anchor, schedule.next_due_at = self.anchor, self.next_due_at


class Created(Planned):
    TOPIC: ClassVar[str] = "schedule.created"
    name: str

    def apply(self, schedule: Schedule) -> None:
        super().apply(schedule)
        schedule.name, schedule.paused, schedule.removed = self.name, False, False
        schedule.created_at, schedule.last_due_at, schedule.last_job_id, schedule.runs = self.timestamp, None, None, 0


class Changed(Planned):
    TOPIC: ClassVar[str] = "schedule.changed"


class Fired(Event):
    TOPIC: ClassVar[str] = "schedule.fired"
    due_at: datetime
    job_id: str
    job: dict[str, Any]
    triggered: bool
    replaces: str | None
    next_due_at: datetime | None

    def apply(self, schedule: Schedule) -> None:
        schedule.last_job_id, schedule.next_due_at = self.job_id, self.next_due_at
        schedule.runs += 1
        if not self.triggered:
            schedule.last_due_at = schedule.passed = self.due_at


class Skipped(Event):
    TOPIC: ClassVar[str] = "schedule.skipped"
    first_due_at: datetime
    last_due_at: datetime
    reason: str
    next_due_at: datetime | None

    def apply(self, schedule: Schedule) -> None:
        schedule.next_due_at, schedule.passed = self.next_due_at, self.last_due_at


class Paused(Event):
    TOPIC: ClassVar[str] = "schedule.paused"

    def apply(self, schedule: Schedule) -> None:
        schedule.paused, schedule.next_due_at = True, None


class Resumed(Event):
    TOPIC: ClassVar[str] = "schedule.resumed"
    next_due_at: datetime | None

    def apply(self, schedule: Schedule) -> None:
        schedule.paused, schedule.next_due_at = False, self.next_due_at


class Removed(Event):
    TOPIC: ClassVar[str] = "schedule.removed"

    def apply(self, schedule: Schedule) -> None:
        schedule.removed, schedule.next_due_at = True, None
