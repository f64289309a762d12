"""kill -9 of the service in the middle of 2,000 jobs."""

from __future__ import annotations

import asyncio

from millrace import Millrace
from tests.faults.harness.bench import Bench
from tests.faults.harness.processes import Service, Worker

JOBS = 2_000


async def test_killing_the_service_again_and_again_loses_doubles_and_repeats_nothing(run: Bench) -> None:
    service = await run.start(Service(run.folder, lease=4, unconfirmed=2))
    await service.ready()
    await run.start(Worker(run.folder, service.url, run.runs))
    async with Millrace(service.url) as client:
        enqueuing = asyncio.create_task(run.enqueue(client, JOBS))
        for count in sorted(run.random.sample(range(100, JOBS - 200), 4)):
            await run.has_run(count)
            await run.kill(service)
            await service.start()
            await service.ready()
        await enqueuing
        await run.all_ended(client)
        await run.verdict(client)
    code, output = await service.command("rebuild", "jobs")
    assert code == 0, output
    assert "equal to the live one: yes" in output
