"""The gauges say what the queues hold."""

from __future__ import annotations

from adapters.metrics import Metrics
from infra.health import refresh
from tests.support.systems import TENANT, claimed, enqueued, job, reported, system


async def test_the_gauges_count_jobs_by_queue_and_status(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as running:
        await enqueued(running, queue="media", max_attempts=1)
        (grant,) = await claimed(running, queues=["media"])
        await reported(running, grant, "failed")
        newest = ""
        for _ in range(2):
            newest = await enqueued(running, queue="media")
        await job(running, newest)
        metrics = Metrics(tenants=True)
        await refresh(metrics, running)
        await refresh(metrics, running)
        lane = {"tenant": TENANT, "queue": "media"}
        value = metrics.registry.get_sample_value
        assert value("millrace_jobs", {**lane, "status": "pending"}) == 2
        assert value("millrace_jobs", {**lane, "status": "failed"}) == 1
        assert value("millrace_dead_letters", lane) == 1
        assert value("millrace_jobs_ready", lane) == 2
        oldest = value("millrace_oldest_ready_seconds", lane)
        assert oldest is not None
        assert oldest >= 0


async def test_a_job_that_may_run_after_others_is_pending_in_the_gauges(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as running:
        parent = await enqueued(running, queue="parents")
        child = await enqueued(running, queue="children", after=parent)
        await enqueued(running, queue="children", delay=600)
        (grant,) = await claimed(running, queues=["parents"])
        await reported(running, grant)
        await job(running, child)
        metrics = Metrics(tenants=True)
        await refresh(metrics, running)
        lane = {"tenant": TENANT, "queue": "children"}
        value = metrics.registry.get_sample_value
        assert value("millrace_jobs", {**lane, "status": "pending"}) == 1
        assert value("millrace_jobs", {**lane, "status": "delayed"}) == 1
