"""What follows from a command to a schedule, or from its due time: the events. The rules of the service."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from millrace.contracts import schedule as contract
from millrace.contracts import schedule_events as facts
from millrace.contracts.wire import Fact, derived_id
from millrace.testing.refusals import Refusal
from millrace.testing.schedule_state import PLAN, ScheduleState, recurring

INSTANT = timedelta(microseconds=1)
TIMEZONE = "UTC"


def create(schedule: ScheduleState | None, command: contract.CreateSchedule, now: datetime) -> list[Fact]:
    plan = _given(command, PLAN) | {"timezone": command.timezone or TIMEZONE}
    if schedule is not None and not schedule.removed:
        return _changed(schedule, plan, now)
    anchor = plan["starts_at"] or now
    due = next_due(plan, anchor, now, schedule)
    return [facts.ScheduleCreated(name=command.name, **plan, anchor=anchor, next_due_at=due)]


def change(schedule: ScheduleState, command: contract.ChangeSchedule, now: datetime) -> list[Fact]:
    guard(schedule)
    given = _given(command, [name for name in PLAN if name in command.model_fields_set])
    if "cron" in given or "every" in given:
        given = {"cron": None, "every": None} | given
    return _changed(schedule, schedule.plan | given, now)


def pause(schedule: ScheduleState, _: contract.PauseSchedule, now: datetime) -> list[Fact]:
    guard(schedule)
    return [] if schedule.paused else [facts.SchedulePaused()]


def resume(schedule: ScheduleState, _: contract.ResumeSchedule, now: datetime) -> list[Fact]:
    guard(schedule)
    due = next_due(schedule.plan, schedule.anchor, now, schedule)
    return [facts.ScheduleResumed(next_due_at=due)] if schedule.paused else []


def remove(schedule: ScheduleState, _: contract.RemoveSchedule, now: datetime) -> list[Fact]:
    return [] if schedule.removed else [facts.ScheduleRemoved()]


def trigger(schedule: ScheduleState, _: contract.TriggerSchedule, now: datetime) -> list[Fact]:
    guard(schedule)
    job_id = derived_id(schedule.name, f"triggered/{schedule.version + 1}")
    return [_fired(schedule, now, job_id, schedule.next_due_at, triggered=True)]


def fire(schedule: ScheduleState, unfinished: bool, now: datetime) -> list[Fact]:
    """What is due becomes jobs, and what was missed is decided on."""
    first, plan = schedule.next_due_at, schedule.plan
    if first is None or first > now or (unfinished and plan["overlap"] == "queue"):
        return []
    until = now if plan["ends_at"] is None else min(now, plan["ends_at"])
    runs = recurring(plan, schedule.anchor).newest(first, until, plan["catch_up"] + 1)
    following = next_due(plan, schedule.anchor, now, schedule)
    chosen = _chosen(plan, runs, now)
    facts: list[Fact] = []
    if not chosen or chosen[0] > first:
        left = [due for due in runs if not chosen or due < chosen[0]]
        facts.append(_skipped(first, left[-1] if left else first, "missed", chosen[0] if chosen else following))
    last_job_id = schedule.last_job_id
    for index, due in enumerate(chosen):
        after = chosen[index + 1] if index + 1 < len(chosen) else following
        if unfinished and plan["overlap"] == "skip":
            facts.append(_skipped(due, chosen[-1], "overlap", following))
            break
        if unfinished and plan["overlap"] == "queue":
            break
        replaces = last_job_id if unfinished and plan["overlap"] == "replace" else None
        last_job_id = derived_id(schedule.name, due.isoformat())
        facts.append(_fired(schedule, due, last_job_id, after, replaces=replaces))
        unfinished = True
    return facts


def next_due(plan: dict[str, Any], anchor: datetime, now: datetime, schedule: ScheduleState | None) -> datetime | None:
    """The first due time after now that has not been decided on and lies within the plan's bounds."""
    after = now
    if schedule is not None and schedule.passed is not None:
        after = max(after, schedule.passed)
    if plan["starts_at"] is not None:
        after = max(after, plan["starts_at"] - INSTANT)
    due = recurring(plan, anchor).after(after)
    return None if due is None or (plan["ends_at"] is not None and due > plan["ends_at"]) else due


def guard(schedule: ScheduleState) -> None:
    """Raises `Refusal` where the schedule was removed."""
    if schedule.removed:
        raise Refusal("not-found", f"there is no schedule {schedule.name!r}: it was removed")


def _chosen(plan: dict[str, Any], runs: Sequence[datetime], now: datetime) -> Sequence[datetime]:
    if plan["missed"] == "skip" and runs[-1] + timedelta(seconds=plan["grace"]) < now:
        return []
    made_up_for = plan["catch_up"] if plan["missed"] == "all" and plan["overlap"] != "replace" else 1
    return runs[-made_up_for:]


def _changed(schedule: ScheduleState, plan: dict[str, Any], now: datetime) -> list[Fact]:
    old, anchor = schedule.plan, schedule.anchor
    if plan == old:
        return []
    if (plan["every"], plan["starts_at"]) != (old["every"], old["starts_at"]):
        anchor = plan["starts_at"] or now
    due = None if schedule.paused else next_due(plan, anchor, now, schedule)
    return [facts.ScheduleChanged(**plan, anchor=anchor, next_due_at=due)]


def _given(command: contract.CreateSchedule | contract.ChangeSchedule, names: Sequence[str]) -> dict[str, Any]:
    given = {name: getattr(command, name) for name in names}
    if command.job is not None and "job" in given:
        given["job"] = command.job.model_dump(mode="json", exclude_unset=True)
    return given


def _fired(
    schedule: ScheduleState,
    due: datetime,
    job_id: str,
    following: datetime | None,
    *,
    triggered: bool = False,
    replaces: str | None = None,
) -> Fact:
    return facts.ScheduleFired(
        due_at=due,
        job_id=job_id,
        job=schedule.plan["job"],
        triggered=triggered,
        replaces=replaces,
        next_due_at=following,
    )


def _skipped(first: datetime, last: datetime, reason: Any, following: datetime | None) -> Fact:
    return facts.ScheduleSkipped(first_due_at=first, last_due_at=last, reason=reason, next_due_at=following)
