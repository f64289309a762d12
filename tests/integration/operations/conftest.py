"""One service for each module here, used over real HTTP and AMQP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aio_pika
import pytest
import pytest_asyncio

from domain.channels import Rejected, Unavailable
from tests.integration.amqp.caller import Caller
from tests.support.channels import Recorder
from tests.support.operations import Bench
from tests.support.running import Running, running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(
    database_url: str, rabbitmq_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    channels = [
        Recorder("email"),
        Recorder("sms", [Unavailable("test", "busy", 0.0), Rejected("test", "nobody has that number")]),
        Recorder("push"),
    ]
    modules = {"jobs": {"storage": {"path": str(tmp_path_factory.mktemp("objects"))}}}
    async with running(database_url, rabbitmq_url, channels=channels, modules=modules) as service:
        yield service


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(service: Running, rabbitmq_url: str) -> AsyncIterator[Bench]:
    async with await aio_pika.connect(rabbitmq_url, timeout=60) as connection, connection.channel() as channel:
        caller = await Caller.on(channel)
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind("millrace.events", routing_key="every.#")
        async with service.client("every") as client:
            yield Bench(caller, client, queue)
