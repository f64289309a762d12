"""The data of the events that a schedule records."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from millrace.contracts.wire import Fact


class _Planned(Fact):
    """What creating and changing have in common."""

    cron: str | None = None
    every: float | None = None
    timezone: str
    job: dict[str, Any]
    missed: str
    grace: float
    catch_up: int
    overlap: str
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    anchor: datetime
    next_due_at: datetime | None = None


class ScheduleCreated(_Planned):
    """`anchor` is where an interval is counted from."""

    name: str


class ScheduleChanged(_Planned):
    """`anchor` is where an interval is counted from."""


class ScheduleFired(Fact):
    """A run: its job is enqueued with this id. `replaces` names a job that is canceled for it."""

    due_at: datetime
    job_id: str
    job: dict[str, Any]
    triggered: bool = False
    replaces: str | None = None
    next_due_at: datetime | None = None


class ScheduleSkipped(Fact):
    """Runs from one due time to another did not take place."""

    first_due_at: datetime
    last_due_at: datetime
    reason: Literal["missed", "overlap"]
    next_due_at: datetime | None = None


class SchedulePaused(Fact):
    pass


class ScheduleResumed(Fact):
    next_due_at: datetime | None = None


class ScheduleRemoved(Fact):
    pass


EVENTS: dict[str, type[Fact]] = {
    "schedule.created": ScheduleCreated,
    "schedule.changed": ScheduleChanged,
    "schedule.fired": ScheduleFired,
    "schedule.skipped": ScheduleSkipped,
    "schedule.paused": SchedulePaused,
    "schedule.resumed": ScheduleResumed,
    "schedule.removed": ScheduleRemoved,
}
