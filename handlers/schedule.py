"""Schedules: the commands, and what follows from a run: its job, enqueued under an id that the run has given it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from domain.job import Job
from domain.ports import RecordedEvent
from domain.schedule import KIND, Plan, Run, Schedule
from domain.schedule_events import Fired
from handlers.job import JobPolicy, enqueue
from handlers.reactions import Reaction
from handlers.routes import CommandRoute, Decided, Moment
from millrace.contracts import job as job_contract
from millrace.contracts import schedule as contract
from millrace.contracts.job_fields import SCHEDULED_FOR
from millrace.contracts.recurrence import Recurrence, recurrence
from millrace.contracts.wire import Context, Identifier, Message, derived_id
from projections.work import work_of

REACTION = "schedules"
INSTANT = timedelta(microseconds=1)


class Fire(Message):
    """`schedule.fire`, from inside only: a due time has come.

    A schedule fires each due time once, whoever says so how often, and only upon the state that was looked at.

    Attributes:
        due_at: the due time that was found; another one has been decided on by now where it is not the next any more.
        now: by the database.
        last_job_id: the job that `unfinished` is about.
    """

    name: Identifier
    due_at: datetime
    now: datetime
    last_job_id: str | None
    unfinished: bool


class Start(job_contract.Enqueue):
    """`job.start`, from inside only: enqueues a job under an id that was given before."""

    job_id: Identifier


def create(timezone: str, schedule: Schedule | None, command: contract.CreateSchedule, at: Moment) -> Decided:
    plan = Plan(**_settings(command), timezone=command.timezone or timezone)
    if schedule is None or schedule.removed:
        anchor = plan.starts_at or at.now
        due = _next(plan, anchor, at.now, schedule)
        if schedule is None:
            schedule = Schedule.create(at.stream, at.now, name=command.name, plan=plan, anchor=anchor, next_due_at=due)
        else:
            schedule.restore(plan, anchor, due, at.now)
    else:
        _change(schedule, plan, at)
    return _told(schedule)


def change(schedule: Schedule, command: contract.ChangeSchedule, at: Moment) -> Decided:
    given = {name: value for name, value in _settings(command).items() if name in command.model_fields_set}
    if "cron" in given or "every" in given:
        given = {"cron": None, "every": None, **given}
    _change(schedule, replace(schedule.plan, **given), at)
    return _told(schedule)


def pause(schedule: Schedule, _: contract.PauseSchedule, at: Moment) -> Decided:
    schedule.pause(at.now)
    return _told(schedule)


def resume(schedule: Schedule, _: contract.ResumeSchedule, at: Moment) -> Decided:
    schedule.resume(_next(schedule.plan, schedule.anchor, at.now, schedule), at.now)
    return _told(schedule)


def remove(schedule: Schedule, _: contract.RemoveSchedule, at: Moment) -> Decided:
    schedule.remove(at.now)
    return Decided(schedule, {"name": schedule.name, "success": True})


def trigger(schedule: Schedule, _: contract.TriggerSchedule, at: Moment) -> Decided:
    job_id = derived_id(at.stream, f"triggered/{schedule.version + 1}")
    schedule.trigger(job_id, at.now)
    return Decided(schedule, {"name": schedule.name, "job_id": job_id})


def fire(schedule: Schedule, command: Fire, at: Moment) -> Decided:
    """Decides on what is due, unless somebody else did, or the state is not the one that was looked at."""
    first = schedule.next_due_at
    if first == command.due_at and schedule.last_job_id == command.last_job_id:
        plan, now = schedule.plan, command.now
        until = now if plan.ends_at is None else min(now, plan.ends_at)
        due = recurring(plan, schedule.anchor).newest(first, until, plan.catch_up + 1)
        runs = [Run(each, derived_id(at.stream, each.isoformat())) for each in due]
        schedule.fire(runs, _next(plan, schedule.anchor, now, schedule), command.unfinished, now)
    return Decided(schedule, {"name": schedule.name})


def recurring(plan: Plan, anchor: datetime) -> Recurrence:
    """When the plan is due."""
    return recurrence(plan.cron, plan.every, plan.timezone, anchor)


def jobs_of_runs(policy: JobPolicy) -> tuple[Reaction, dict[str, CommandRoute]]:
    """Each run's job: the reaction, and the command that it gives."""

    def started(recorded: RecordedEvent) -> Sequence[tuple[str, Message]]:
        event = recorded.event
        if not isinstance(event, Fired):
            return ()
        commands: list[tuple[str, Message]] = []
        if event.replaces is not None:
            reason = f"the next run of schedule {recorded.stream.id} replaces it"
            commands.append(("job.cancel", job_contract.Cancel(job_id=event.replaces, reason=reason)))
        data = {**event.job.get("data", {}), SCHEDULED_FOR: event.due_at.isoformat()}
        commands.append(("job.start", Start.model_validate({**event.job, "data": data, "job_id": event.job_id})))
        return commands

    # The job's id makes a repetition harmless, so that its answer needs no inbox row.
    route = CommandRoute(
        Start,
        Job,
        partial(enqueue, policy),
        lambda command, _: str(command.job_id),
        creates=True,
        required=False,
        remembered=False,
        work=work_of,
    )
    return Reaction(REACTION, started, kinds=frozenset({KIND}), beside=True), {"job.start": route}


def command_routes(timezone: str) -> dict[str, CommandRoute]:
    """Commands that a caller may give.

    Args:
        timezone: of schedules that name none.
    """
    route = partial(CommandRoute, aggregate=Schedule, identify=_named)
    return {
        "schedule.create": route(contract.CreateSchedule, decide=partial(create, timezone), required=False),
        "schedule.change": route(contract.ChangeSchedule, decide=change),
        "schedule.pause": route(contract.PauseSchedule, decide=pause),
        "schedule.resume": route(contract.ResumeSchedule, decide=resume),
        "schedule.remove": route(contract.RemoveSchedule, decide=remove),
        "schedule.trigger": route(contract.TriggerSchedule, decide=trigger, followed_by=f"reaction:{REACTION}"),
    }


def internal_routes() -> dict[str, CommandRoute]:
    """The command that only the scheduler gives."""
    return {"schedule.fire": CommandRoute(Fire, Schedule, fire, _named, remembered=False)}


def _change(schedule: Schedule, plan: Plan, at: Moment) -> None:
    old = schedule.plan
    anchor = schedule.anchor
    if (plan.every, plan.starts_at) != (old.every, old.starts_at):
        anchor = plan.starts_at or at.now
    schedule.change(plan, anchor, _next(plan, anchor, at.now, schedule), at.now)


def _next(plan: Plan, anchor: datetime, now: datetime, schedule: Schedule | None) -> datetime | None:
    """The first due time after now that has not been decided on and lies within the plan's bounds."""
    after = now
    if schedule is not None and schedule.passed is not None:
        after = max(after, schedule.passed)
    if plan.starts_at is not None:
        after = max(after, plan.starts_at - INSTANT)
    due = recurring(plan, anchor).after(after)
    return None if due is None or (plan.ends_at is not None and due > plan.ends_at) else due


def _settings(command: contract.CreateSchedule | contract.ChangeSchedule) -> dict[str, Any]:
    settings = {name: getattr(command, name) for name in Plan.__dataclass_fields__ if name != "timezone"}
    if command.job is not None:
        # Only what was given: the service's defaults apply when a run is started.
        settings["job"] = command.job.model_dump(mode="json", exclude_unset=True)
    if isinstance(command, contract.ChangeSchedule):
        settings["timezone"] = command.timezone
    return settings


def _told(schedule: Schedule) -> Decided:
    return Decided(schedule, {"name": schedule.name, "paused": schedule.paused, "next_due_at": schedule.next_due_at})


def _named(command: Any, _: Context) -> str:
    return str(command.name)
