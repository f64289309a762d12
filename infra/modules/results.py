"""Results that are too large for the log."""

from __future__ import annotations

from adapters.postgres.result_parts import PostgresResultParts
from handlers import job_results
from handlers.result_cleaner import ResultCleaner
from infra.composition import Base, Loop, Module


def results(base: Base) -> Module:
    store, objects, parts = base.storage.store, base.objects, PostgresResultParts(base.storage.pool)
    limit = base.settings.modules.jobs.results.max_bytes
    return Module(
        operations=job_results.operation_routes(store, objects, parts, limit),
        queries=job_results.query_routes(store, objects),
        loops=[] if objects is None else [Loop("timers", "results", ResultCleaner(store, objects, parts).run)],
    )
