"""Batches of jobs."""

from __future__ import annotations

from adapters.postgres.batch_queries import BatchQueries
from handlers import batch
from infra.composition import Base, Module
from infra.job_policy import job_policy


def batches(base: Base) -> Module:
    return Module(
        commands=batch.command_routes(),
        internal=batch.internal_routes(job_policy(base.settings.modules.jobs)),
        queries=BatchQueries(base.storage.pool).routes(),
    )
