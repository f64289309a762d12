"""Queues: their settings, by command or from the configuration file."""

from __future__ import annotations

from adapters.postgres.queue_queries import QueueQueries, follow_file, weigh_tenants
from handlers import queue
from infra.composition import Base, Module
from infra.settings_jobs import Jobs
from infra.storage import Storage


def queues(base: Base) -> Module:
    files = _files(base.settings.modules.jobs)
    asked = QueueQueries(base.storage.pool, base.storage.store, files)
    return Module(
        commands=queue.command_routes(files),
        internal=queue.internal_routes(),
        operations=queue.operation_routes(asked, base.pipeline),
        queries=asked.routes(),
    )


async def store_settings(storage: Storage, jobs: Jobs) -> None:
    """Has the database follow what the configuration file says of queues and of tenants' parts."""
    await follow_file(storage.commits, _files(jobs))
    await weigh_tenants(storage.commits, {name: share.weight for name, share in jobs.tenants.items()})


def _files(jobs: Jobs) -> queue.Files:
    return {name: rules for name, section in jobs.queues.items() if (rules := section.rules())}
