"""Jobs: what enqueues and runs them, what happens to them as time passes, and what is left of them."""

from __future__ import annotations

from adapters.postgres.dead_letter_queries import DeadLetterQueries
from adapters.postgres.expired_jobs import PostgresExpiredJobs
from adapters.postgres.job_finder import PostgresJobFinder
from adapters.postgres.job_queries import JobQueries
from adapters.postgres.job_stats import JobStatistics
from adapters.postgres.old_rows import KeptRows
from handlers import archive, bulk, followups, job, job_logs, job_repair, timers
from handlers.job_results import verified_by
from handlers.retention import Retention
from handlers.timers import Timers
from infra.composition import Base, Loop, Module
from infra.job_policy import job_policy
from infra.settings import Settings
from infra.storage import Storage


def jobs(base: Base) -> Module:
    storage, pipeline, settings = base.storage, base.pipeline, base.settings.modules.jobs
    leases = settings.leases
    finder = PostgresJobFinder(storage.pool, storage.store, storage.positions)
    return Module(
        commands={
            **job.command_routes(job_policy(settings), verified_by(storage.store, base.objects)),
            **job_repair.command_routes(),
        },
        internal={
            **timers.command_routes(),
            **followups.command_routes(),
            **job_repair.internal_routes(),
            **archive.command_routes(),
        },
        operations={
            **job.operation_routes(storage.queue, storage.store, leases.duration, leases.unconfirmed),
            **job_logs.operation_routes(storage.job_logs),
            **bulk.operation_routes(finder, pipeline),
        },
        queries={
            **JobQueries(storage.pool, storage.store, storage.positions, leases.duration).routes(),
            **JobStatistics(storage.pool, base.mapper, leases.duration).routes(),
            **DeadLetterQueries(storage.pool, storage.store, storage.positions).routes(),
            **job_logs.query_routes(storage.job_logs),
        },
        loops=_loops(base),
    )


def _loops(base: Base) -> list[Loop]:
    storage, pipeline, settings = base.storage, base.pipeline, base.settings
    loops = [Loop("timers", "timers", Timers(storage.queue, pipeline, lambda: _forget(storage, settings)).run)]
    if ages := settings.modules.jobs.retention.ages():
        loops.append(Loop("timers", "retention", Retention(PostgresExpiredJobs(storage.pool), pipeline, ages).run))
    if base.archiver is not None:
        loops.append(Loop("timers", "archive", base.archiver.run))
    return loops


async def _forget(storage: Storage, settings: Settings) -> int:
    """Removes what is too old to be asked for, answers to commands and job logs; returns how many rows."""
    await storage.queue.tidy()
    ages: dict[KeptRows, float] = {
        "inbox": settings.idempotency.retention,
        "job_logs": settings.modules.jobs.retention.logs,
    }
    return sum([await storage.old_rows.remove(table, seconds) for table, seconds in ages.items()])
