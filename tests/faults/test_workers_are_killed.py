"""Workers that come back from the dead, and jobs that kill theirs."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest

from millrace import Millrace
from millrace.errors import Refused
from tests.faults.harness.bench import Bench
from tests.faults.harness.processes import Service, Worker
from tests.faults.harness.waiting import until

OFTEN: dict[str, Any] = {"max_attempts": 20, "retry": {"kind": "fixed", "delay": 0.1}}


async def test_what_a_frozen_worker_says_after_its_lease_is_refused(run: Bench) -> None:
    service = await run.start(Service(run.folder, lease=2, unconfirmed=1))
    await service.ready()
    zombie = await run.start(Worker(run.folder, service.url, run.runs, name="zombie"))
    async with Millrace(service.url) as client:
        # threads go on where they were, whatever the event loop makes of the time that has passed
        await run.enqueue(client, 20, name="blocking-step", longest=1.5, **OFTEN)
        await run.has_run(10)
        zombie.send(signal.SIGSTOP)
        run.history.fault("SIGSTOP", server=zombie.name)
        second = await run.start(Worker(run.folder, service.url, run.runs, name="second"))
        await run.all_ended(client)
        zombie.send(signal.SIGCONT)
        await until(lambda: "outcome was refused" in zombie.output() or "is stopped" in zombie.output(), 10,
                    "the zombie has noticed")  # fmt: skip
        for event in await run.log(client):
            if event["eventtype"] in ("job.attempt_lost", "job.attempt_returned"):
                late = {"job_id": event["subject"], "attempt": event["data"]["attempt"], "outcome": "completed"}
                with pytest.raises(Refused, match="attempt"):
                    await client.execute("job.report", late)
        # it must be able to work again, and its late words must have changed nothing
        await second.stop()
        await run.enqueue(client, 20, name="step")
        await run.all_ended(client)
        log = await run.verdict(client)
    superseded = [event for event in log if event["eventtype"] in ("job.attempt_lost", "job.attempt_returned")]
    assert superseded, "the freeze hit no running attempt"


async def test_a_job_that_kills_every_worker_at_once_joins_the_dead_letters(run: Bench) -> None:
    service = await run.start(Service(run.folder, unconfirmed=0.5))
    await service.ready()
    worker = await run.start(Worker(run.folder, service.url, run.runs))
    async with Millrace(service.url) as client:
        retry = {"kind": "fixed", "delay": 0.1}
        await run.enqueue(client, 1, name="kills-its-worker", longest=0, max_attempts=2, retry=retry)
        ending = asyncio.create_task(run.all_ended(client))
        while not ending.done():
            gone = asyncio.create_task(worker.ended(30))
            await asyncio.wait({ending, gone}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                await worker.start()
            gone.cancel()
        await ending
        await run.verdict(client)
        (job,) = (await client.jobs.page(status="failed")).jobs
    assert job.dead_lettered
    assert run.ran() < 10
