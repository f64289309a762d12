"""One schedule in memory, folded from its events."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from millrace.contracts import schedule_events as facts
from millrace.contracts.recurrence import Recurrence, recurrence
from millrace.contracts.wire import Fact

PLAN = ("cron", "every", "timezone", "job", "missed", "grace", "catch_up", "overlap", "starts_at", "ends_at")
LONG_AGO = datetime.fromtimestamp(0, UTC)


@dataclass(slots=True)
class ScheduleState:
    """A schedule. `plan` is what it was told; `passed` the newest due time that was decided on."""

    name: str
    version: int = 0
    plan: dict[str, Any] = field(default_factory=dict)
    anchor: datetime = LONG_AGO
    paused: bool = False
    removed: bool = False
    next_due_at: datetime | None = None
    last_due_at: datetime | None = None
    passed: datetime | None = None
    last_job_id: str | None = None
    runs: int = 0
    created_at: datetime = LONG_AGO

    def apply(self, fact: Fact, at: datetime, position: int) -> None:
        self.version += 1
        match fact:
            case facts.ScheduleCreated():
                self.paused = self.removed = False
                self.created_at, self.last_due_at, self.last_job_id, self.runs = at, None, None, 0
                self._told(fact)
            case facts.ScheduleChanged():
                self._told(fact)
            case facts.ScheduleFired():
                self.last_job_id, self.next_due_at = fact.job_id, fact.next_due_at
                self.runs += 1
                if not fact.triggered:
                    self.last_due_at = self.passed = fact.due_at
            case facts.ScheduleSkipped():
                self.next_due_at, self.passed = fact.next_due_at, fact.last_due_at
            case facts.SchedulePaused():
                self.paused, self.next_due_at = True, None
            case facts.ScheduleResumed():
                self.paused, self.next_due_at = False, fact.next_due_at
            case facts.ScheduleRemoved():
                self.removed, self.next_due_at = True, None
            case _:
                raise TypeError(f"{fact!r} is no event of a schedule")

    def _told(self, fact: facts.ScheduleCreated | facts.ScheduleChanged) -> None:
        self.plan = {name: getattr(fact, name) for name in PLAN}
        self.anchor, self.next_due_at = fact.anchor, fact.next_due_at

    def view(self) -> dict[str, Any]:
        """The schedule as it is read."""
        return {name: value for name, value in self.to_wire().items() if name != "removed"}

    def to_wire(self) -> dict[str, Any]:
        return {
            "name": self.name,
            **self.plan,
            "paused": self.paused,
            "removed": self.removed,
            "next_due_at": self.next_due_at,
            "last_due_at": self.last_due_at,
            "last_job_id": self.last_job_id,
            "runs": self.runs,
            "created_at": self.created_at,
        }


def recurring(plan: dict[str, Any], anchor: datetime) -> Recurrence:
    """When the plan is due."""
    return recurrence(plan["cron"], plan["every"], plan["timezone"], anchor)
