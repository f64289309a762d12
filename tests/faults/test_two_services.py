"""Two processes of the service on one PostgreSQL, one of which is killed or frozen."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Any

from millrace import Millrace
from tests.faults.harness.bench import Bench
from tests.faults.harness.processes import Service, Worker
from tests.faults.harness.waiting import until
from tests.support.live import LiveClient, live


async def started(run: Bench, database: str) -> tuple[Service, Service]:
    pair = [
        await run.start(Service(run.folder, name=f"service-{n}", database=database, lease=4, unconfirmed=2))
        for n in (1, 2)
    ]
    for service in pair:
        await service.ready()
    return pair[0], pair[1]


async def test_copies_of_one_command_at_both_services_make_one_job(run: Bench, fresh_database_url: str) -> None:
    first, second = await started(run, fresh_database_url)
    async with Millrace(first.url) as one, Millrace(second.url) as two:
        clients = [one, two] * 25
        jobs = await asyncio.gather(*(c.jobs.enqueue("step", {}, message_id="the-same") for c in clients))
        log = await run.log(one)
    assert len({job.id for job in jobs}) == 1
    assert [event["eventtype"] for event in log] == ["job.enqueued"]


async def test_a_service_frozen_while_it_leads_holds_up_the_other_for_seconds_at_most(
    run: Bench, fresh_database_url: str
) -> None:
    first, second = await started(run, fresh_database_url)
    await run.start(Worker(run.folder, second.url, run.runs))
    async with Millrace(second.url) as client:
        await run.enqueue(client, 20, longest=0.0)
        await run.all_ended(client)
        first.send(signal.SIGSTOP)
        run.history.fault("SIGSTOP", server=first.name)
        began = time.monotonic()
        await run.enqueue(client, 20, longest=0.0)
        await run.has_run(40)
        assert time.monotonic() - began < 20, "commands and claims waited for the frozen process"
        first.send(signal.SIGCONT)
        await run.all_ended(client)
        await run.verdict(client)


async def test_work_that_comes_due_in_one_service_reaches_a_worker_that_waits_at_the_other(
    run: Bench, fresh_database_url: str
) -> None:
    _, second = await started(run, fresh_database_url)
    await run.start(Worker(run.folder, second.url, run.runs, concurrency=1))
    async with Millrace(second.url) as client:
        for _ in range(8):
            due = time.monotonic() + 0.3
            await run.enqueue(client, 1, longest=0.0, delay=0.3)
            wanted = run.sent
            await until(lambda wanted=wanted: run.ran() >= wanted, 10, "the delayed job has begun")  # type: ignore[misc]
            assert time.monotonic() - due < 5
        await run.all_ended(client)
        await run.verdict(client)


async def test_a_client_of_one_service_sees_the_samples_of_the_other(run: Bench, fresh_database_url: str) -> None:
    first, second = await started(run, fresh_database_url)

    async def follow(client: LiveClient, id: str) -> None:
        await client.say(action="subscribe", progress_id=id)
        await client.told("caught-up")

    async def sample(app: Millrace, client: LiveClient, id: str) -> dict[str, Any]:
        """What is told of an update that is not recorded; some are, and as long as they are there is another one."""
        percent = 0.0

        async def work() -> None:
            nonlocal percent
            while True:
                percent = min(percent + 0.01, 99.0)
                await app.progress.update(id, percent)

        working = asyncio.create_task(work())
        try:
            return (await client.until(lambda message: bool(message.get("transient"))))[-1]
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    async with Millrace(first.url, timeout=15) as one, Millrace(second.url, timeout=15) as other:
        await one.progress.create(id="there")
        await other.progress.create(id="back")
        async with live(second.url, "/ws/progress") as client:
            await follow(client, "there")
            assert (await sample(one, client, "there"))["data"]["id"] == "there"
        async with live(first.url, "/ws/progress") as client:
            await follow(client, "back")
            assert (await sample(other, client, "back"))["data"]["id"] == "back"
        async with live(second.url, "/ws/progress") as client:
            await follow(client, "back")
            await first.kill()
            assert (await sample(other, client, "back"))["data"]["id"] == "back"
