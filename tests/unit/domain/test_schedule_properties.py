"""No sequence of commands, late and repeated findings of schedulers breaks the rules of a schedule."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from domain import schedule_events
from domain.aggregate import Event
from domain.errors import NoSuchSchedule
from domain.schedule import Schedule
from handlers import schedule as handler
from handlers.routes import Decided, Moment
from millrace.contracts import schedule as contract
from tests.controls.clock import NOW

STREAM = "schedule:acme:nightly"
MOMENTS = st.sampled_from([None, -300, 40, 400])
RECURRENCES = st.sampled_from([{"every": 10.0}, {"every": 90.0}, {"cron": "*/2 * * * *"}, {"cron": "0 3 * * *"}])
WHAT_ELSE = {
    "timezone": st.sampled_from(["UTC", "Europe/Berlin"]),
    "missed": st.sampled_from(["skip", "one", "all"]),
    "grace": st.sampled_from([0.0, 15.0]),
    "catch_up": st.integers(1, 4),
    "overlap": st.sampled_from(["allow", "skip", "queue", "replace"]),
}


class ScheduleLife(RuleBasedStateMachine):
    """One schedule, everybody who may talk to it, and schedulers that see what is due late, twice or not any more."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.events: list[Event] = []
        self.schedule: Schedule
        self.seen: list[handler.Fire] = []

    @initialize(recurrence=RECURRENCES, plan=st.fixed_dictionaries(WHAT_ELSE))
    def begin(self, recurrence: dict[str, Any], plan: dict[str, Any]) -> None:
        wish = self.wish(**recurrence, **plan)
        self.schedule = self.kept(handler.create("UTC", None, wish, self.moment))

    @rule(seconds=st.integers(0, 200))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(recurrence=RECURRENCES, plan=st.fixed_dictionaries(WHAT_ELSE), starts=MOMENTS, ends=MOMENTS)
    def somebody_creates_it(
        self, recurrence: dict[str, Any], plan: dict[str, Any], starts: int | None, ends: int | None
    ) -> None:
        bounds = sorted(self.now + timedelta(seconds=each) for each in (starts, ends) if each is not None)
        within = {"starts_at": bounds[0], "ends_at": bounds[-1]} if bounds else {}
        wish = self.wish(**recurrence, **plan, **within)
        self.twice(lambda: handler.create("UTC", self.schedule, wish, self.moment))
        assert not self.schedule.removed

    @rule(
        changes=st.fixed_dictionaries({}, optional=WHAT_ELSE | {"every": st.sampled_from([5.0, 60.0])}).filter(bool),
        ends=MOMENTS,
    )
    def somebody_changes_it(self, changes: dict[str, Any], ends: int | None) -> None:
        if ends is not None and self.schedule.starts_at is None:
            changes = changes | {"ends_at": self.now + timedelta(seconds=ends)}
        wish = contract.ChangeSchedule(name="nightly", **changes)
        self.twice(lambda: handler.change(self.schedule, wish, self.moment))

    @rule()
    def somebody_pauses_it(self) -> None:
        wish = contract.PauseSchedule(name="nightly")
        self.twice(lambda: handler.pause(self.schedule, wish, self.moment))

    @rule()
    def somebody_resumes_it(self) -> None:
        wish, was_paused = contract.ResumeSchedule(name="nightly"), self.schedule.paused
        self.twice(lambda: handler.resume(self.schedule, wish, self.moment))
        due = self.schedule.next_due_at
        assert due is None or due > self.now or not was_paused, "what was due during the pause is made up for"

    @rule()
    def somebody_removes_it(self) -> None:
        wish = contract.RemoveSchedule(name="nightly")
        self.twice(lambda: handler.remove(self.schedule, wish, self.moment))

    @rule()
    def somebody_triggers_it(self) -> None:
        due = self.schedule.next_due_at
        try:
            self.kept(handler.trigger(self.schedule, contract.TriggerSchedule(name="nightly"), self.moment))
        except NoSuchSchedule:
            assert self.schedule.removed
        assert self.schedule.next_due_at == due

    @precondition(lambda self: self.schedule.next_due_at is not None)
    @rule(unfinished=st.booleans())
    def a_scheduler_looks(self, unfinished: bool) -> None:
        """What it sees is decided on now, and may be told again at any time."""
        due = self.schedule.next_due_at
        assert due is not None
        last = self.schedule.last_job_id
        finding = handler.Fire(name="nightly", due_at=due, now=self.now, last_job_id=last, unfinished=unfinished)
        self.seen.append(finding)
        self.twice(lambda: handler.fire(self.schedule, finding, self.moment))
        following = self.schedule.next_due_at
        if not unfinished and self.schedule.overlap != "queue":
            assert following is None or following > self.now, "something due was left undecided"

    @precondition(lambda self: self.seen)
    @rule(place=st.integers(0, 100))
    def a_scheduler_that_was_frozen_goes_on(self, place: int) -> None:
        finding = self.seen[place % len(self.seen)]
        before = len(self.events)
        self.kept(handler.fire(self.schedule, finding, self.moment))
        fired = [
            event.due_at for event in self.events if isinstance(event, schedule_events.Fired) and not event.triggered
        ]
        assert len(fired) == len(set(fired))
        assert len(self.events) == before or self.schedule.last_job_id != finding.last_job_id

    @invariant()
    def a_replay_comes_to_the_same_state(self) -> None:
        assert Schedule.replayed(self.events) == self.schedule

    @invariant()
    def versions_have_no_gap(self) -> None:
        assert [event.originator_version for event in self.events] == list(range(1, len(self.events) + 1))

    @invariant()
    def each_due_time_is_decided_on_once_and_in_order(self) -> None:
        passed = datetime.min.replace(tzinfo=NOW.tzinfo)
        for event in self.events:
            if isinstance(event, schedule_events.Skipped):
                assert passed < event.first_due_at <= event.last_due_at
                passed = event.last_due_at
            elif isinstance(event, schedule_events.Fired) and not event.triggered:
                assert passed < event.due_at <= event.timestamp
                passed = event.due_at
        due = self.schedule.next_due_at
        assert due is None or due > passed

    @invariant()
    def nothing_is_due_while_it_is_paused_or_removed(self) -> None:
        still = False
        for event in self.events:
            match event:
                case schedule_events.Paused() | schedule_events.Removed():
                    still = True
                case schedule_events.Created() | schedule_events.Resumed():
                    still = False
                case schedule_events.Fired(triggered=False) | schedule_events.Skipped():
                    assert not still
                case _:
                    continue
        assert still == (self.schedule.paused or self.schedule.removed)
        assert not still or self.schedule.next_due_at is None

    @invariant()
    def runs_lie_within_the_plan_and_have_jobs_of_their_own(self) -> None:
        jobs, starts, ends, count = [], None, None, 0
        for event in self.events:
            if isinstance(event, schedule_events.Planned):
                starts, ends = event.starts_at, event.ends_at
                count = 0 if isinstance(event, schedule_events.Created) else count
            elif isinstance(event, schedule_events.Fired):
                jobs.append(event.job_id)
                count += 1
                assert event.triggered or starts is None or starts <= event.due_at
                assert event.triggered or ends is None or event.due_at <= ends
        assert len(jobs) == len(set(jobs))
        assert count == self.schedule.runs

    @property
    def moment(self) -> Moment:
        return Moment(self.now, "nightly", STREAM, 0, "e1")

    def wish(self, **plan: Any) -> contract.CreateSchedule:
        return contract.CreateSchedule.model_validate({"name": "nightly", "job": {"name": "report"}, **plan})

    def kept(self, decided: Decided) -> Schedule:
        schedule = decided.aggregate
        assert isinstance(schedule, Schedule)
        self.events += schedule.collected()
        return schedule

    def twice(self, decide: Callable[[], Decided]) -> None:
        """A repetition records nothing; what was removed refuses and stays as it is."""
        try:
            self.kept(decide())
            made = len(self.events)
            self.kept(decide())
            assert len(self.events) == made, "a repetition wrote"
        except NoSuchSchedule:
            assert self.schedule.removed
            assert self.schedule.collected() == []


TestScheduleLife = ScheduleLife.TestCase
TestScheduleLife.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
