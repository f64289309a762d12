"""Schedules, and the jobs of their runs."""

from __future__ import annotations

from adapters.postgres.due_schedules import PostgresDueSchedules
from adapters.postgres.schedule_queries import ScheduleQueries
from handlers import schedule
from handlers.scheduler import Scheduler
from infra.composition import Base, Loop, Module
from infra.job_policy import job_policy
from projections.schedules import SchedulesProjection


def schedules(base: Base) -> Module:
    storage, jobs = base.storage, base.settings.modules.jobs
    starting_runs, starts = schedule.jobs_of_runs(job_policy(jobs))
    due = PostgresDueSchedules(storage.pool)
    scheduler = Scheduler(due, base.pipeline, lambda position: base.wait_for(SchedulesProjection.name, position))
    return Module(
        commands=schedule.command_routes(jobs.scheduler.timezone),
        internal={**schedule.internal_routes(), **starts},
        queries=ScheduleQueries(storage.pool, storage.store, storage.positions).routes(),
        reactions=[starting_runs],
        loops=[Loop("timers", "scheduler", scheduler.run)] if jobs.scheduler.enabled else [],
    )
