"""RabbitMQ killed, and then its data deleted, in the middle of 2,000 jobs that travel over it."""

from __future__ import annotations

import asyncio

from millrace import Millrace
from tests.faults.harness.bench import Bench
from tests.faults.harness.processes import Service, Worker
from tests.faults.harness.rabbitmq import RabbitMQ

JOBS = 2_000


async def test_a_broker_that_dies_and_then_forgets_everything_costs_nothing(run: Bench) -> None:
    broker = await run.start(RabbitMQ(run.folder))
    service = await run.start(Service(run.folder, broker=broker.url, lease=6, unconfirmed=2))
    await service.ready()
    worker = await run.start(Worker(run.folder, broker.url, run.runs))
    async with Millrace(broker.url) as client:
        enqueuing = asyncio.create_task(run.enqueue(client, JOBS))
        await run.has_run(run.random.randrange(100, 700))
        await run.kill(broker)
        await broker.start()
        await run.has_run(run.random.randrange(900, 1_500))
        run.history.fault("wipe", server=broker.name)
        await broker.wipe()
        await broker.start()
        await enqueuing
        await run.all_ended(client)
        await run.verdict(client)
    assert service.running
    assert worker.running
