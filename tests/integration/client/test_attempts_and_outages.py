"""Checkpoints and log lines while the service refuses, and the end of an attempt that another one has overtaken."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from millrace import JobContext, Millrace, StaleAttempt
from tests.integration.client.conftest import Working
from tests.support.wire_service import WireService


async def test_lines_and_checkpoints_wait_for_a_service_that_is_overloaded(
    app: Millrace, working: Working, service: WireService
) -> None:
    service.overloaded["job.log"] = service.overloaded["job.checkpoint"] = 2

    @app.job
    async def scan(job: JobContext) -> None:
        job.log("one")
        job.log("two")
        await job.checkpoint({"page": 3}, force=True)

    async with working():
        job = await app.jobs.enqueue("scan")
        await service.until(lambda each: len(each.lines) == 2 and each.job(job.id)["status"] == "completed")
    assert service.lines == [(job.id, 1, 1, "one"), (job.id, 1, 2, "two")]
    assert service.job(job.id)["checkpoint"] == {"page": 3}


async def test_a_refused_checkpoint_ends_the_attempt_without_a_report(
    app: Millrace, working: Working, service: WireService
) -> None:
    told: list[Any] = []
    ended = asyncio.Event()

    @app.job
    async def scan(job: JobContext) -> None:
        service.job(job.id)["attempt"] += 1
        try:
            with pytest.raises(StaleAttempt):
                await job.checkpoint({"page": 3}, force=True)
            await asyncio.Event().wait()
        finally:
            told.append(job.stopped_by)
            ended.set()

    async with working():
        job = await app.jobs.enqueue("scan")
        await asyncio.wait_for(ended.wait(), 30)
    assert told == ["lost"]
    assert service.job(job.id)["reports"] == []
