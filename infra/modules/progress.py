"""The progress of long work."""

from __future__ import annotations

from adapters.postgres.due_progress import PostgresDueProgress
from adapters.postgres.progress_queries import ProgressQueries
from adapters.postgres.tracked_batches import PostgresTrackedBatches
from handlers import batch_progress, progress_family, progress_timers
from handlers import progress as handler
from handlers.batch_progress import BatchProgress
from handlers.progress_timers import ProgressTimers
from infra.composition import Base, Loop, Module
from infra.tracking import progress_types


def progress(base: Base) -> Module:
    storage, pipeline, samples = base.storage, base.pipeline, base.progress_samples
    settings = base.settings.modules.progress
    types = progress_types(settings)
    # Commands that only the service gives, and readers of the log, stay where a module is off: what its past still
    # brings is done, and nothing waits for a reader that stands still.
    internal = {
        **handler.internal_routes(samples, types),
        **progress_family.internal_routes(),
        **batch_progress.internal_routes(),
        **progress_timers.internal_routes(),
    }
    reactions = [progress_family.reaction()]
    if not settings.enabled:
        return Module(internal=internal, reactions=reactions)
    batches = BatchProgress(PostgresTrackedBatches(storage.pool, storage.commits), pipeline)
    timers = ProgressTimers(PostgresDueProgress(storage.pool), pipeline, settings.cleanup.ages())
    return Module(
        commands=handler.command_routes(samples, types),
        internal=internal,
        queries=ProgressQueries(storage.pool, storage.store, storage.positions, storage.clock).routes(),
        reactions=reactions,
        loops=[
            Loop("api", "samples", lambda: samples.run(pipeline)),
            Loop("timers", "progress", timers.run),
            Loop("timers", "batch progress", batches.run),
        ],
    )
