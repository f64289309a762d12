"""The schedule: a job that is enqueued again and again, each due time at most once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Any, ClassVar, NamedTuple, Self

from domain.aggregate import Aggregate
from domain.errors import NoSuchSchedule
from domain.schedule_events import Changed, Created, Fired, Paused, Removed, Resumed, Skipped

KIND = "schedule"
# What is recorded at once is bounded; what is left stays due and is decided on next.
MOST_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Plan:
    """What a schedule is told: when, what, and what to do about runs that are late or come too early.

    Attributes:
        cron: an expression, in the time zone; or `every`, seconds.
        job: the body of the command that enqueues it.
        grace: seconds.
    """

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


class Run(NamedTuple):
    """A due time, and the id of its job."""

    due_at: datetime
    job_id: str


class Schedule(Aggregate):
    """When a job is due, and which runs have taken place.

    Due times are computed outside and handed in; the schedule decides which of them become jobs. `passed` is the newest
    due time that has been decided on: none at or before it is ever due again, whatever clocks and plans do.
    """

    KIND: ClassVar[str] = KIND

    name: str
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
    created_at: datetime
    last_due_at: datetime | None
    last_job_id: str | None
    runs: int
    paused: bool
    removed: bool
    passed: datetime | None

    def __base_init__(self, originator_id: Any, originator_version: int, timestamp: datetime) -> None:
        super().__base_init__(originator_id, originator_version, timestamp)
        self.passed = None

    @property
    def plan(self) -> Plan:
        return Plan(**{field.name: getattr(self, field.name) for field in fields(Plan)})

    @property
    def ended(self) -> bool:
        return self.removed

    @classmethod
    def create(
        cls, stream: str, now: datetime, *, name: str, plan: Plan, anchor: datetime, next_due_at: datetime | None
    ) -> Self:
        return cls.created_by(
            Created(stream, 1, now, **asdict(plan), anchor=anchor, next_due_at=next_due_at, name=name)
        )

    def restore(self, plan: Plan, anchor: datetime, next_due_at: datetime | None, now: datetime) -> None:
        """Begins a removed schedule anew under its old name."""
        self.trigger_event(
            Created, timestamp=now, **asdict(plan), anchor=anchor, next_due_at=next_due_at, name=self.name
        )

    def change(self, plan: Plan, anchor: datetime, next_due_at: datetime | None, now: datetime) -> None:
        """Gives the schedule another plan; the same one changes nothing. A pause stays.

        Raises:
            NoSuchSchedule: it was removed.
        """
        self._guard()
        if plan != self.plan:
            due = None if self.paused else next_due_at
            self.trigger_event(Changed, timestamp=now, **asdict(plan), anchor=anchor, next_due_at=due)

    def pause(self, now: datetime) -> None:
        """Has nothing due until `resume`.

        Raises:
            NoSuchSchedule: it was removed.
        """
        self._guard()
        if not self.paused:
            self.trigger_event(Paused, timestamp=now)

    def resume(self, next_due_at: datetime | None, now: datetime) -> None:
        """Goes on with `next_due_at`; what was due during the pause is not made up for.

        Raises:
            NoSuchSchedule: it was removed.
        """
        self._guard()
        if self.paused:
            self.trigger_event(Resumed, timestamp=now, next_due_at=next_due_at)

    def remove(self, now: datetime) -> None:
        """Ends the schedule; repeating it changes nothing."""
        if not self.removed:
            self.trigger_event(Removed, timestamp=now)

    def trigger(self, job_id: str, now: datetime) -> None:
        """Starts a run now, beside the due ones.

        Raises:
            NoSuchSchedule: it was removed.
        """
        self._guard()
        self._fire(Run(now, job_id), self.next_due_at, now, triggered=True)

    def fire(self, runs: Sequence[Run], next_due_at: datetime | None, unfinished: bool, now: datetime) -> None:
        """Starts what is due, and decides about what was missed.

        Args:
            runs: the due times up to `now` that may be made up for, oldest first, the newest always among them.
            next_due_at: the first due time after `now`.
            unfinished: whether the job of the last run has not ended.
        """
        first = self.next_due_at
        if first is None or first > now or not runs or (unfinished and self.overlap == "queue"):
            return
        late = timedelta(seconds=self.grace)
        newest = runs[-1].due_at
        chosen = list(runs[-self.catch_up :] if self.missed == "all" else runs[-1:])
        if self.missed == "skip" and newest + late < now:
            chosen = []
        if self.overlap == "replace":
            # Each would replace the one before it at once.
            chosen = chosen[-1:]
        if not chosen or chosen[0].due_at > first:
            left = [run.due_at for run in runs if not chosen or run.due_at < chosen[0].due_at]
            following = chosen[0].due_at if chosen else next_due_at
            self._skip(first, left[-1] if left else first, "missed", following, now)
        self._start(chosen, next_due_at, unfinished, now)

    def to_wire(self) -> dict[str, Any]:
        return {
            "name": self.name,
            **asdict(self.plan),
            "paused": self.paused,
            "removed": self.removed,
            "next_due_at": self.next_due_at,
            "last_due_at": self.last_due_at,
            "last_job_id": self.last_job_id,
            "runs": self.runs,
            "created_at": self.created_at,
        }

    def _start(self, chosen: Sequence[Run], next_due_at: datetime | None, unfinished: bool, now: datetime) -> None:
        for index, run in enumerate(chosen[:MOST_AT_ONCE]):
            following = chosen[index + 1].due_at if index + 1 < len(chosen) else next_due_at
            if not unfinished or self.overlap == "allow":
                self._fire(run, following, now)
            elif self.overlap == "replace":
                self._fire(run, following, now, replaces=self.last_job_id)
            elif self.overlap == "skip":
                self._skip(run.due_at, chosen[-1].due_at, "overlap", next_due_at, now)
                return
            else:
                # It stays due until the job of the run before it has ended.
                return
            unfinished = True

    def _fire(
        self, run: Run, following: datetime | None, now: datetime, triggered: bool = False, replaces: str | None = None
    ) -> None:
        self.trigger_event(
            Fired,
            timestamp=now,
            due_at=run.due_at,
            job_id=run.job_id,
            job=self.job,
            triggered=triggered,
            replaces=replaces,
            next_due_at=following,
        )

    def _skip(self, first: datetime, last: datetime, reason: str, following: datetime | None, now: datetime) -> None:
        self.trigger_event(
            Skipped, timestamp=now, first_due_at=first, last_due_at=last, reason=reason, next_due_at=following
        )

    def _guard(self) -> None:
        if self.removed:
            raise NoSuchSchedule(self.name)
