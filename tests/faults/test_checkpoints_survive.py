"""kill -9 of the worker behind each checkpoint: the next attempt finds the last one."""

from __future__ import annotations

import asyncio

from millrace import Millrace
from tests.faults.harness.bench import Bench
from tests.faults.harness.processes import Service, Worker


async def test_an_attempt_goes_on_where_the_killed_one_had_saved(run: Bench) -> None:
    service = await run.start(Service(run.folder, lease=2, unconfirmed=1))
    await service.ready()
    worker = await run.start(Worker(run.folder, service.url, run.runs))
    async with Millrace(service.url) as client:
        job = await client.jobs.enqueue("counts-on", max_attempts=5, retry={"kind": "fixed", "delay": 0.1})
        ending = asyncio.create_task(client.jobs.result(job.id, timeout=60))
        while not ending.done():
            gone = asyncio.create_task(worker.ended(60))
            await asyncio.wait({ending, gone}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                await worker.start()
            gone.cancel()
        assert await ending == {"step": 3}
        log = [event.eventtype for event in await client.history("job", job.id)]
    assert log.count("job.checkpointed") == 3
    assert run.ran() == 4
