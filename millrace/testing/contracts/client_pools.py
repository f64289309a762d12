"""Workers that several tenants share."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from millrace import JobStatus
from millrace.testing.contracts.bench import DEADLINE, Bench, seen, working


class PoolsContract:
    async def test_a_claim_for_several_tenants_takes_turns_and_leaves_nothing_lying(self, bench: Bench) -> None:
        mine = bench.app.settings.tenant
        async with bench.other(f"{mine}-b") as other:
            for number in range(5):
                await bench.app.jobs.enqueue("n", {"number": number}, key="k")
            for number in range(2):
                await other.jobs.enqueue("n", {"number": number}, priority=-9)
            body = {"worker": "pool", "queues": ["default"], "slots": 4, "tenants": [mine, f"{mine}-b"]}
            grants: list[dict[str, Any]] = (await bench.app.execute("job.claim", body)).result["grants"]
            assert Counter(grant["tenant"] for grant in grants) == {mine: 2, f"{mine}-b": 2}, "whatever their priority"
            assert {grant["key"] for grant in grants if grant["tenant"] == mine} == {"k"}
            grants = (await bench.app.execute("job.claim", body)).result["grants"]
            assert [(grant["tenant"], grant["data"]["number"]) for grant in grants] == [(mine, n) for n in (2, 3, 4)]
            assert (await bench.app.jobs.stats()).workers == (await other.jobs.stats()).workers == 1

    async def test_a_worker_of_several_tenants_runs_each_job_in_its_tenant_s_name(self, bench: Bench) -> None:
        mine = bench.app.settings.tenant
        ran: list[str | None] = []

        @bench.app.job
        async def n(job: Any) -> str:
            ran.append(job.tenant)
            job.log("at work")
            await job.checkpoint({"step": 1}, force=True)
            await bench.app.jobs.enqueue("follow-up", {"of": job.id}, queue="later")
            return "done"

        async with bench.other(f"{mine}-b") as other, working(bench.app, tenants=[mine, other.settings.tenant]):
            jobs = [(app, await app.jobs.enqueue("n")) for app in (bench.app, other)]
            async with asyncio.timeout(DEADLINE):
                assert [await app.jobs.result(job.id) for app, job in jobs] == ["done", "done"]
            for app, job in jobs:
                assert (await seen(app, job.id)).status is JobStatus.COMPLETED
                kinds = [event.eventtype for event in await app.history("job", job.id)]
                assert "job.checkpointed" in kinds
                [following] = await app.jobs.list(queue="later")
                assert following.data == {"of": job.id}, "what a handler does it does for the job's tenant"
                lines = await bench.until(lambda app=app, job=job: app.jobs.logs(job.id), lambda log: log.lines)  # type: ignore[misc]
                assert [line.message for line in lines.lines] == ["at work"]
        assert sorted(ran, key=str) == [mine, f"{mine}-b"]
