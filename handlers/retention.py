"""Retention: jobs that ended long ago leave the read models, each by an event; the log keeps them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog

from domain.job import KIND
from domain.ports import ExpiredJobs, StreamName
from handlers.persistence import persistently
from handlers.pipeline import Pipeline
from millrace.contracts.job import Remove
from millrace.contracts.wire import Accepted, Context

SWEEP_SECONDS = 60.0
MORE_SECONDS = 1.0
PAGE = 500
REASON = "retention"
log = structlog.get_logger("retention")


class Retention:
    """Removes ended jobs in pages. Several processes may do so at once: a job that is removed stays so.

    Args:
        ages: seconds after which a job of each status goes; a status that is left out stays.
    """

    def __init__(self, expired: ExpiredJobs, pipeline: Pipeline, ages: Mapping[str, float]) -> None:
        self._expired, self._pipeline, self._ages = expired, pipeline, ages

    async def run(self) -> None:
        """Runs until cancelled."""
        await persistently("retention", self._often)

    async def sweep(self) -> int:
        """Removes a page of each status of what has expired by now; returns how many jobs."""
        removed = 0
        for status, age in self._ages.items():
            page = await self._expired.find(status, age, PAGE)
            removed += sum(await asyncio.gather(*(self._remove(tenant, job_id) for tenant, job_id in page)))
        return removed

    async def _often(self) -> None:
        while True:
            removed = await self.sweep()
            if removed:
                log.info("ended jobs removed", action="retention_swept", jobs=removed)
            # Where there was something there may be more, once the read model has seen what is gone.
            await asyncio.sleep(MORE_SECONDS if removed else SWEEP_SECONDS)

    async def _remove(self, tenant: str, job_id: str) -> bool:
        stream = StreamName(KIND, tenant, job_id)
        context = Context(tenant, f"{stream.text}/retention", principal="millrace")
        command = Remove(job_id=job_id, reason=REASON)
        return isinstance(await self._pipeline.execute_internal("job.remove", command, context), Accepted)
