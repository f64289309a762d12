"""The rules of a schedule: each due time is decided on once, and late and overlapping runs as its plan says."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from domain import schedule, schedule_events
from domain.errors import NoSuchSchedule
from domain.schedule import Plan, Run, Schedule
from tests.controls.clock import NOW, later
from tests.support.spec import given

STREAM = "schedule:acme:nightly"
JOB = {"name": "report", "data": {"n": 1}}
PLAN = Plan(
    cron=None, every=10.0, timezone="UTC", job=JOB, missed="one", grace=5.0, catch_up=3, overlap="allow",
    starts_at=None, ends_at=None,
)  # fmt: skip


def at(step: int) -> datetime:
    """The due time of that number, counted from the creation."""
    return later(10 * step)


def fields(plan: Plan) -> dict[str, Any]:
    return {name: getattr(plan, name) for name in Plan.__dataclass_fields__}


def created(**changed: Any) -> schedule_events.Created:
    plan = replace(PLAN, **changed)
    return schedule_events.Created(STREAM, 1, NOW, **fields(plan), anchor=NOW, next_due_at=at(1), name="nightly")


def fired(version: int, step: int, now: datetime, following: datetime | None, **more: Any) -> schedule_events.Fired:
    values = {"triggered": False, "replaces": None, "job_id": f"j-{step}", "due_at": at(step)} | more
    return schedule_events.Fired(STREAM, version, now, job=JOB, next_due_at=following, **values)


def skipped(
    version: int, first: int, last: int, now: datetime, following: datetime | None, reason: str = "missed"
) -> schedule_events.Skipped:
    return schedule_events.Skipped(
        STREAM, version, now, first_due_at=at(first), last_due_at=at(last), reason=reason, next_due_at=following
    )


def paused(version: int) -> schedule_events.Paused:
    return schedule_events.Paused(STREAM, version, later(1))


def removed(version: int) -> schedule_events.Removed:
    return schedule_events.Removed(STREAM, version, later(2))


def runs(*steps: int) -> list[Run]:
    return [Run(at(step), f"j-{step}") for step in steps]


def fire(*steps: int, now: datetime, unfinished: bool = False) -> Any:
    """The decision on the runs that are left to decide, with the next due time after them."""
    return lambda it: it.fire(runs(*steps), at(steps[-1] + 1), unfinished, now)


# ------------------------------------------------------------------------------------------------ making and changing


def test_a_schedule_is_due_when_it_was_told_to_be() -> None:
    made = given().when(
        lambda _: Schedule.create(STREAM, NOW, name="nightly", plan=PLAN, anchor=NOW, next_due_at=at(1))
    )
    it = made.then(created())
    assert it.to_wire()["next_due_at"] == at(1)


def test_the_same_plan_changes_nothing() -> None:
    given(created()).when(lambda it: it.change(PLAN, NOW, at(1), later(3))).nothing()


def test_another_plan_is_recorded_with_its_next_due_time() -> None:
    plan = replace(PLAN, every=None, cron="0 3 * * *", timezone="Europe/Berlin")
    changed = schedule_events.Changed(STREAM, 2, later(3), **fields(plan), anchor=NOW, next_due_at=later(500))
    it = given(created()).when(lambda it: it.change(plan, NOW, later(500), later(3))).then(changed)
    assert it.to_wire()["cron"] == "0 3 * * *"


def test_a_change_leaves_a_pause_alone() -> None:
    plan = replace(PLAN, overlap="skip")
    changed = schedule_events.Changed(STREAM, 3, later(3), **fields(plan), anchor=NOW, next_due_at=None)
    given(created(), paused(2)).when(lambda it: it.change(plan, NOW, at(1), later(3))).then(changed)


# ------------------------------------------------------------------------------------------------- pause and resume


def test_a_pause_leaves_nothing_due() -> None:
    it = given(created()).when(lambda it: it.pause(later(1))).then(paused(2))
    assert it.to_wire()["next_due_at"] is None


def test_pausing_twice_changes_nothing() -> None:
    given(created(), paused(2)).when(lambda it: it.pause(later(2))).nothing()


def test_nothing_fires_while_paused() -> None:
    given(created(), paused(2)).when(fire(1, 2, now=at(2))).nothing()


def test_resuming_goes_on_with_the_due_time_after_now() -> None:
    resumed = schedule_events.Resumed(STREAM, 3, later(34), next_due_at=at(4))
    given(created(), paused(2)).when(lambda it: it.resume(at(4), later(34))).then(resumed)


def test_resuming_what_is_not_paused_changes_nothing() -> None:
    given(created()).when(lambda it: it.resume(at(4), later(34))).nothing()


# ------------------------------------------------------------------------------------------------------------ firing


def test_a_due_time_starts_a_run() -> None:
    it = given(created()).when(fire(1, now=at(1))).then(fired(2, 1, at(1), at(2)))
    assert (it.to_wire()["runs"], it.to_wire()["last_job_id"]) == (1, "j-1")


def test_nothing_fires_before_its_time() -> None:
    given(created()).when(fire(1, now=later(9))).nothing()


def test_a_due_time_that_was_decided_on_does_not_fire_again() -> None:
    given(created(), fired(2, 1, at(1), at(2))).when(fire(1, now=at(1))).nothing()


def test_the_last_due_time_leaves_nothing_due() -> None:
    last = given(created()).when(lambda it: it.fire(runs(1), None, False, at(1)))
    assert last.then(fired(2, 1, at(1), None)).to_wire()["next_due_at"] is None


def test_a_run_by_hand_leaves_the_due_times_alone() -> None:
    by_hand = fired(2, 1, later(3), at(1), triggered=True, due_at=later(3), job_id="t-1")
    it = given(created()).when(lambda it: it.trigger("t-1", later(3))).then(by_hand)
    assert (it.to_wire()["last_due_at"], it.to_wire()["runs"]) == (None, 1)


def test_a_paused_schedule_is_run_by_hand() -> None:
    by_hand = fired(3, 1, later(3), None, triggered=True, due_at=later(3), job_id="t-1")
    given(created(), paused(2)).when(lambda it: it.trigger("t-1", later(3))).then(by_hand)


# ------------------------------------------------------------------------------------------------------- missed runs
# Due at 10, 20, 30, 40; nobody was there until 43 or 47. A run may be 5 seconds late.


def test_skip_drops_what_was_missed_and_starts_what_is_still_in_time() -> None:
    given(created(missed="skip")).when(fire(1, 2, 3, 4, now=later(43))).then(
        skipped(2, 1, 3, later(43), at(4)), fired(3, 4, later(43), at(5))
    )


def test_skip_drops_the_newest_too_once_its_grace_is_over() -> None:
    given(created(missed="skip")).when(fire(1, 2, 3, 4, now=later(47))).then(skipped(2, 1, 4, later(47), at(5)))


def test_skip_drops_a_single_run_that_is_too_late() -> None:
    given(created(missed="skip")).when(fire(1, now=later(15.1))).then(skipped(2, 1, 1, later(15.1), at(2)))
    given(created(missed="skip")).when(fire(1, now=later(15))).then(fired(2, 1, later(15), at(2)))


def test_one_makes_up_for_all_with_the_newest() -> None:
    given(created(missed="one")).when(fire(1, 2, 3, 4, now=later(47))).then(
        skipped(2, 1, 3, later(47), at(4)), fired(3, 4, later(47), at(5))
    )


def test_one_makes_up_for_a_single_late_run() -> None:
    given(created(missed="one")).when(fire(1, now=later(19))).then(fired(2, 1, later(19), at(2)))


def test_all_makes_up_for_each_in_order() -> None:
    now = later(33)
    given(created(missed="all")).when(fire(1, 2, 3, now=now)).then(
        fired(2, 1, now, at(2)), fired(3, 2, now, at(3)), fired(4, 3, now, at(4))
    )


def test_all_makes_up_for_the_newest_as_far_as_its_bound() -> None:
    # Only what may be made up for, and the one before it, is handed in, however long the outage was.
    now = later(1_000)
    given(created(missed="all")).when(fire(97, 98, 99, 100, now=now)).then(
        skipped(2, 1, 97, now, at(98)),
        fired(3, 98, now, at(99)),
        fired(4, 99, now, at(100)),
        fired(5, 100, now, at(101)),
    )


def test_what_is_made_up_for_at_once_is_bounded_and_the_rest_stays_due() -> None:
    steps = range(1, schedule.MOST_AT_ONCE + 3)
    it = given(created(missed="all", catch_up=1_000)).when(fire(*steps, now=later(2_000)))
    first = [fired(step + 1, step, later(2_000), at(step + 1)) for step in steps[: schedule.MOST_AT_ONCE]]
    assert it.then(*first).to_wire()["next_due_at"] == at(schedule.MOST_AT_ONCE + 1)


# ----------------------------------------------------------------------------------------------------------- overlap

RAN = fired(2, 1, at(1), at(2))


def test_allow_starts_a_run_beside_the_one_before() -> None:
    given(created(), RAN).when(fire(2, now=at(2), unfinished=True)).then(fired(3, 2, at(2), at(3)))


@pytest.mark.parametrize("overlap", ["skip", "queue", "replace"])
def test_without_an_unfinished_job_every_policy_starts_the_run(overlap: str) -> None:
    given(created(overlap=overlap), RAN).when(fire(2, now=at(2))).then(fired(3, 2, at(2), at(3)))


def test_skip_drops_a_run_while_the_job_before_has_not_ended() -> None:
    given(created(overlap="skip"), RAN).when(fire(2, now=at(2), unfinished=True)).then(
        skipped(3, 2, 2, at(2), at(3), "overlap")
    )


def test_replace_names_the_job_that_is_canceled() -> None:
    given(created(overlap="replace"), RAN).when(fire(2, now=at(2), unfinished=True)).then(
        fired(3, 2, at(2), at(3), replaces="j-1")
    )


def test_queue_leaves_a_run_due_until_the_job_before_has_ended() -> None:
    it = given(created(overlap="queue"), RAN).when(fire(2, now=at(2), unfinished=True)).nothing()
    assert it.to_wire()["next_due_at"] == at(2)


def test_queue_makes_up_for_missed_runs_one_after_another() -> None:
    now = later(33)
    it = given(created(overlap="queue", missed="all")).when(fire(1, 2, 3, now=now)).then(fired(2, 1, now, at(2)))
    assert it.to_wire()["next_due_at"] == at(2)


def test_missed_runs_that_are_made_up_for_do_not_overlap_each_other_either() -> None:
    now = later(33)
    given(created(overlap="skip", missed="all")).when(fire(1, 2, 3, now=now)).then(
        fired(2, 1, now, at(2)), skipped(3, 2, 3, now, at(4), "overlap")
    )
    given(created(overlap="replace", missed="all")).when(fire(1, 2, 3, now=now)).then(
        skipped(2, 1, 2, now, at(3)), fired(3, 3, now, at(4))
    )


# ----------------------------------------------------------------------------------------------------------- removal


def test_a_removed_schedule_is_due_no_more() -> None:
    it = given(created()).when(lambda it: it.remove(later(2))).then(removed(2))
    assert (it.to_wire()["next_due_at"], it.ended) == (None, True)


def test_removing_twice_changes_nothing() -> None:
    given(created(), removed(2)).when(lambda it: it.remove(later(3))).nothing()


@pytest.mark.parametrize(
    "decision",
    [
        lambda it: it.change(replace(PLAN, every=7.0), NOW, at(1), later(3)),
        lambda it: it.pause(later(3)),
        lambda it: it.resume(at(1), later(3)),
        lambda it: it.trigger("t-1", later(3)),
    ],
)
def test_what_was_removed_takes_no_commands(decision: Any) -> None:
    assert given(created(), removed(2)).when(decision).refused(NoSuchSchedule).name == "nightly"


def test_a_removed_schedule_begins_anew_and_remembers_what_was_decided() -> None:
    history = (created(), RAN, removed(3))
    anew = schedule_events.Created(STREAM, 4, later(12), **fields(PLAN), anchor=NOW, next_due_at=at(2), name="nightly")
    it = given(*history).when(lambda it: it.restore(PLAN, NOW, at(2), later(12))).then(anew)
    assert (it.to_wire()["removed"], it.to_wire()["runs"], it.to_wire()["last_job_id"]) == (False, 0, None)
    assert it.passed == at(1)  # type: ignore[attr-defined]
