"""Schedules on the wire: jobs that are enqueued again and again, by a cron expression or at an interval."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, field_validator, model_validator
from pydantic_core import to_json

from millrace.contracts.job_fields import Attempts, PositiveSeconds, Priority, Retry, Time, as_retry
from millrace.contracts.recurrence import known_zone, normalized
from millrace.contracts.wire import Fact, Message, Name

MAX_DATA_BYTES = 65_536


CronText = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(normalized)]
Every = Annotated[float, Field(ge=1, le=31_536_000, allow_inf_nan=False)]
Zone = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(known_zone)]
Missed = Literal["skip", "one", "all"]
Grace = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
CatchUp = Annotated[int, Field(ge=1, le=1_000)]
Overlap = Literal["allow", "skip", "queue", "replace"]


class ScheduledJob(Message):
    """The job that each run enqueues: what `job.enqueue` takes, without a time of its own.

    What is not given is decided by the service when the job is enqueued.

    Attributes:
        data: at most 64 KiB of JSON, as every run records it.
    """

    name: Name
    data: dict[str, Any] = Field(default_factory=dict, validation_alias=AliasChoices("data", "payload"))
    queue: Name = "default"
    priority: Priority = 0
    max_attempts: Attempts = 3
    timeout: PositiveSeconds = 300.0
    retry: Annotated[Retry, BeforeValidator(as_retry)] = Field(
        default_factory=Retry, validation_alias=AliasChoices("retry", "backoff")
    )

    @field_validator("data")
    @classmethod
    def _bounded(cls, value: dict[str, Any]) -> dict[str, Any]:
        size = len(to_json(value, inf_nan_mode="constants"))
        if size > MAX_DATA_BYTES:
            raise ValueError(f"has {size} bytes; a schedule's job may have {MAX_DATA_BYTES}, store more elsewhere")
        return value


class CreateSchedule(Message):
    """`schedule.create`: a schedule of this name; repeating it with the same values changes nothing, others change it.

    Attributes:
        cron: five fields, minute hour day-of-month month day-of-week, or `@hourly`, `@daily`, `@weekly`, `@monthly`,
            `@yearly`; or `every`.
        every: seconds from one due time to the next, counted from `starts_at` or from the creation; or `cron`.
        timezone: IANA name of the zone whose wall clock `cron` means; default that of the service, UTC.
        job: what each run enqueues.
        missed: what becomes of runs that nobody could start in time: `skip` drops them, `one` makes up for all of them
            with the newest, `all` makes up for each.
        grace: seconds that a run may be late without having been missed.
        catch_up: most runs that `all` makes up for; older ones are dropped.
        overlap: what a run does while the job of the last run has not ended: `allow` starts beside it, `skip` drops the
            run, `queue` waits for its end, `replace` cancels it.
        starts_at: nothing is due before this time.
        ends_at: nothing is due after this time.
    """

    name: Name
    cron: CronText | None = None
    every: Every | None = None
    timezone: Zone | None = None
    job: ScheduledJob
    missed: Missed = "one"
    grace: Grace = 60.0
    catch_up: CatchUp = 100
    overlap: Overlap = "allow"
    starts_at: Time | None = None
    ends_at: Time | None = None

    @model_validator(mode="after")
    def _one_recurrence(self) -> CreateSchedule:
        if (self.cron is None) == (self.every is None):
            raise ValueError("give either `cron` or `every`")
        _check_bounds(self.starts_at, self.ends_at)
        return self


class ScheduleChanges(Message):
    """Other values for what is given; the rest stays. `cron` takes the place of `every`, and the other way round.

    A null takes `starts_at` or `ends_at` away.
    """

    cron: CronText | None = None
    every: Every | None = None
    timezone: Zone | None = None
    job: ScheduledJob | None = None
    missed: Missed | None = None
    grace: Grace | None = None
    catch_up: CatchUp | None = None
    overlap: Overlap | None = None
    starts_at: Time | None = None
    ends_at: Time | None = None

    @model_validator(mode="after")
    def _something(self) -> ScheduleChanges:
        if self.cron is not None and self.every is not None:
            raise ValueError("give either `cron` or `every`")
        nulls = sorted(
            field for field in self.model_fields_set - {"starts_at", "ends_at"} if getattr(self, field) is None
        )
        if nulls:
            raise ValueError(f"{', '.join(nulls)}: leave out what stays; only `starts_at` and `ends_at` may be null")
        _check_bounds(self.starts_at, self.ends_at)
        return self


class ChangeSchedule(ScheduleChanges):
    """`schedule.change`: other values for what is given; the rest stays. A null takes `starts_at`, `ends_at` away."""

    name: Name


class PauseSchedule(Message):
    """`schedule.pause`: nothing is due until it is resumed."""

    name: Name


class ResumeSchedule(Message):
    """`schedule.resume`: goes on with the next due time after now; what was due during the pause is not made up for."""

    name: Name


class RemoveSchedule(Message):
    """`schedule.remove`: ends the schedule; jobs that it started go on."""

    name: Name


class TriggerSchedule(Message):
    """`schedule.trigger`: enqueues the job now, whatever the schedule, its pause and its overlap policy say."""

    name: Name


class GetSchedule(Message):
    """Query `schedule.get`."""

    name: Name


class ListSchedules(Message):
    """Query `schedule.list`: by name, in pages."""

    paused: bool | None = None
    limit: Annotated[int, Field(ge=1, le=1_000)] = 50
    cursor: str | None = Field(None, max_length=128)


class NextRuns(Message):
    """Query `schedule.next`: the next due times."""

    name: Name
    count: Annotated[int, Field(ge=1, le=100)] = 5


class Schedule(Fact):
    """A schedule as it is read.

    Attributes:
        next_due_at: none while it is paused, or when nothing is due any more.
        last_due_at: due time of the last run, on time or made up for.
        last_job_id: job of the last run, a triggered one included.
        runs: how many jobs it has started.
    """

    name: str
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
    paused: bool = False
    next_due_at: datetime | None = None
    last_due_at: datetime | None = None
    last_job_id: str | None = None
    runs: int = 0
    created_at: datetime


class Upcoming(Fact):
    """Answer to `schedule.next`: due times in UTC, and the same as the schedule's own clock shows them."""

    name: str
    paused: bool
    timezone: str
    next: tuple[datetime, ...] = ()
    local: tuple[str, ...] = ()


def _check_bounds(starts_at: datetime | None, ends_at: datetime | None) -> None:
    if starts_at is not None and ends_at is not None and ends_at < starts_at:
        raise ValueError("`ends_at` lies before `starts_at`")


COMMANDS: dict[str, type[Message]] = {
    "schedule.create": CreateSchedule,
    "schedule.change": ChangeSchedule,
    "schedule.pause": PauseSchedule,
    "schedule.resume": ResumeSchedule,
    "schedule.remove": RemoveSchedule,
    "schedule.trigger": TriggerSchedule,
}
QUERIES: dict[str, type[Message]] = {
    "schedule.get": GetSchedule,
    "schedule.list": ListSchedules,
    "schedule.next": NextRuns,
}
