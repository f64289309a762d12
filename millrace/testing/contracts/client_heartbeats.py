"""What a running attempt tells of itself stands in its job, for as long as it runs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from millrace import HeartbeatRefused, Invalid, Job, JobContext, JobStatus
from millrace.testing.contracts.bench import DEADLINE, Bench, claim, seen, working
from millrace.testing.contracts.eventually import eventually


class HeartbeatsContract:
    async def test_what_an_attempt_tells_goes_with_the_next_renewal(self, bench: Bench) -> None:
        enough = asyncio.Event()

        @bench.app.job
        async def scan(job: JobContext) -> None:
            job.heartbeat(page=1)
            job.heartbeat(page=2, of=7)
            await enough.wait()

        job = await bench.app.jobs.enqueue("scan")
        async with working(bench.app), asyncio.timeout(DEADLINE):
            await eventually(lambda: told(bench, job))
            heartbeat = (await seen(bench.app, job.id)).heartbeat
            assert heartbeat is not None
            assert heartbeat.details == {"page": 2, "of": 7}
            enough.set()
            await bench.app.jobs.result(job.id)
        assert (await seen(bench.app, job.id)).heartbeat is None

    async def test_a_renewal_without_details_leaves_those_of_before(self, bench: Bench) -> None:
        job = await bench.app.jobs.enqueue("n")
        await claim(bench.app)
        attempt = {"job_id": job.id, "attempt": 1}
        for beat in ({**attempt, "details": {"page": 3}}, attempt, {**attempt, "attempt": 2, "details": {"page": 9}}):
            await bench.app.execute("job.renew", {"worker": "contract", "attempts": [beat]})
        heartbeat = (await seen(bench.app, job.id)).heartbeat
        assert heartbeat is not None
        assert heartbeat.details == {"page": 3}
        await bench.app.execute("job.report", {**attempt, "outcome": "returned"})
        await claim(bench.app)
        again = await seen(bench.app, job.id)
        assert (again.status, again.heartbeat) == (JobStatus.PROCESSING, None)

    async def test_details_that_are_too_large_are_refused(self, bench: Bench) -> None:
        @bench.app.job
        async def scan(job: JobContext) -> list[str]:
            refusals = []
            for details in ({"x": "x" * 4_096}, {"x": float("nan")}, {"x": object()}):
                with pytest.raises(HeartbeatRefused) as caught:
                    job.heartbeat(**details)
                refusals.append(str(caught.value))
            return refusals

        [ended] = await bench.run(await bench.app.jobs.enqueue("scan"))
        assert len(ended.result) == 3
        large: dict[str, Any] = {"job_id": "7", "attempt": 1, "details": {"x": "x" * 4_096}}
        with pytest.raises(Invalid):
            await bench.app.execute("job.renew", {"worker": "contract", "attempts": [large]})


async def told(bench: Bench, job: Job) -> bool:
    return (await seen(bench.app, job.id)).heartbeat is not None
