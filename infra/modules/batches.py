"""Batches of jobs."""

from __future__ import annotations

from adapters.postgres.batch_queries import BatchQueries
from handlers import batch
from infra.composition import Base, Module
from infra.job_policy import job_policy
from infra.tracking import progress_types


def batches(base: Base) -> Module:
    progress = base.settings.modules.progress
    return Module(
        commands=batch.command_routes(progress_types(progress) if progress.enabled else None),
        internal=batch.internal_routes(job_policy(base.settings.modules.jobs)),
        queries=BatchQueries(base.storage.pool).routes(),
    )
