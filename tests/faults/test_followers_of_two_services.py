"""A follower over RabbitMQ whose question is held by a service that is killed gets its answer from the other one."""

from __future__ import annotations

import asyncio

from millrace import Millrace
from tests.faults.harness.bench import Bench
from tests.faults.harness.processes import Service
from tests.faults.harness.rabbitmq import RabbitMQ

# Below the 30 s after which a follower asks again that has heard nothing, and far above what a busy machine needs.
ANSWERED_SECONDS = 15.0


async def test_the_other_service_answers_what_the_killed_one_held(run: Bench, fresh_database_url: str) -> None:
    node = await run.start(RabbitMQ(run.folder))
    first, second = (
        Service(run.folder, name=f"service-{number}", database=fresh_database_url, broker=node.url) for number in (1, 2)
    )
    await run.start(first)
    await first.ready()
    async with Millrace(node.url) as follower, Millrace(first.url) as one:
        events = follower.events("order.placed")
        await events.pin()
        await one.publish("order.placed", {"n": 1})
        assert (await anext(events)).payload == {"n": 1}
        # Held by the first, which is alone, before the second is there.
        following = asyncio.ensure_future(anext(events))
        await run.start(second)
        await second.ready()
        assert not following.done()
        await run.kill(first)
        async with Millrace(second.url) as two, asyncio.timeout(ANSWERED_SECONDS):
            await two.publish("order.placed", {"n": 2})
            assert (await following).payload == {"n": 2}
