"""What every carrier of samples does: within one process, over the broker, and over PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import aio_pika
import pytest
from aio_pika import DeliveryMode

from adapters.amqp.samples import AmqpSamples
from adapters.amqp.topology import LIVE
from adapters.contracts.samples import Ears, SamplesContract, at
from adapters.postgres.database import Database
from adapters.postgres.samples import PostgresSamples
from adapters.samples import LocalSamples
from domain.live import Samples
from millrace.contracts.live import live_key
from tests.support.cloudevents import complete
from tests.support.running import until
from tests.support.samples import heard_once_by_all

KINDS = ("local", "amqp", "postgres")


@pytest.fixture(params=KINDS)
async def samples(request: pytest.FixtureRequest) -> AsyncIterator[Samples]:
    if request.param == "local":
        yield LocalSamples()
        return
    if request.param == "postgres":
        shared = PostgresSamples(Database(request.getfixturevalue("database_url")).connect_follower, lambda: False)
        running = asyncio.create_task(shared.run())
        await until(lambda: shared.connected)
        yield shared
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return
    carrier = AmqpSamples(request.getfixturevalue("rabbitmq_url"))
    carrier.start()
    await until(lambda: carrier.connected)
    yield carrier
    await carrier.stop()


class TestSamples(SamplesContract):
    """Within one process, over the broker, and over PostgreSQL."""


async def test_where_too_many_subjects_wait_the_oldest_sample_goes() -> None:
    ears, samples = Ears(), LocalSamples(most=3)
    samples.listen(ears)
    for number in range(5):
        samples.emit(at(number, f"upload-{number}"))
    await until(lambda: bool(ears.heard))
    assert [sample.subject for sample in ears.heard] == ["upload-2", "upload-3", "upload-4"]


async def test_every_process_hears_the_others_once(rabbitmq_url: str) -> None:
    first, second = AmqpSamples(rabbitmq_url), AmqpSamples(rabbitmq_url)
    here, there = Ears(), Ears()
    first.listen(here)
    second.listen(there)
    first.start()
    second.start()
    try:
        await until(lambda: first.connected and second.connected)
        await heard_once_by_all(first, here, second, there)
    finally:
        await asyncio.gather(first.stop(), second.stop())


async def test_a_sample_on_the_broker_says_that_it_is_transient_and_is_not_kept(rabbitmq_url: str) -> None:
    carrier = AmqpSamples(rabbitmq_url)
    carrier.start()
    try:
        await until(lambda: carrier.connected)
        async with await aio_pika.connect(rabbitmq_url, timeout=60) as connection, connection.channel() as channel:
            queue = await channel.declare_queue(exclusive=True)
            await queue.bind(LIVE, live_key("acme", "progress.update", "upload-1"))
            carrier.emit(at(5, "upload-2"))
            carrier.emit(at(5))
            async with queue.iterator(timeout=20) as messages:
                message = await anext(messages)
                await message.ack()
        event = json.loads(message.body)
        assert message.delivery_mode == DeliveryMode.NOT_PERSISTENT
        assert (event["transient"], event["subject"], event["data"]) == (True, "upload-1", {"progress": 5})
        assert "position" not in event
        assert complete(message.body)["id"] == at(5).id
    finally:
        await carrier.stop()


async def test_without_a_broker_a_process_hears_itself() -> None:
    ears, samples = Ears(), AmqpSamples("amqp://127.0.0.1:1/")
    samples.listen(ears)
    samples.start()
    try:
        samples.emit(at(5))
        await until(lambda: ears.heard == [at(5)])
    finally:
        await samples.stop()
