"""RabbitMQ keeps the contract of the port `EventPublisher`, with spans around it and without."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from opentelemetry.sdk.trace import TracerProvider

from adapters.amqp import declaration
from adapters.amqp.connection import Link
from adapters.amqp.publisher import AmqpPublisher
from adapters.amqp.topology import EVENTS, topology
from adapters.contracts.publisher import EventPublisherContract, PublisherBench
from adapters.tracing import TracedPublisher
from domain.ports import EventPublisher, Outgoing, PublishFailed
from tests.integration.amqp.proxy import Proxy
from tests.support.running import until


class AmqpBench:
    """A publisher behind a proxy, and a subscriber's queue that hears everything."""

    def __init__(self, publisher: EventPublisher, link: Link, proxy: Proxy) -> None:
        self.publisher, self._link, self._proxy = publisher, link, proxy
        self.arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()

    async def next(self) -> Outgoing:
        message = await self.arrived.get()
        return Outgoing(message.routing_key or "", message.message_id or "", message.type or "", message.body)

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        self._proxy.refusing = True
        self._proxy.cut()
        await until(lambda: not self._link.connected)
        yield
        self._proxy.refusing = False
        await until(lambda: self._link.connected)


class Hopeful:
    """A publisher that keeps failures to itself."""

    def __init__(self, publisher: EventPublisher) -> None:
        self._publisher = publisher

    async def publish(self, events: Sequence[Outgoing]) -> None:
        with suppress(PublishFailed):
            await self._publisher.publish(events)


class TestAmqpPublisher(EventPublisherContract):
    @pytest.fixture(params=["plain", "traced"])
    async def bench(
        self,
        connection: AbstractConnection,
        channel: AbstractChannel,
        proxy: Proxy,
        proxied_url: str,
        request: pytest.FixtureRequest,
    ) -> AsyncIterator[PublisherBench]:
        link = Link(proxied_url, "test.events", lambda connection: declaration.apply(connection, topology()))
        link.start()
        await until(lambda: link.connected)
        publisher: EventPublisher = AmqpPublisher(link)
        if request.param == "traced":
            publisher = TracedPublisher(publisher, TracerProvider().get_tracer("test"))
        bench = AmqpBench(publisher, link, proxy)
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(EVENTS, "#")
        await queue.consume(bench.arrived.put, no_ack=True)
        yield bench
        await link.stop()

    async def test_a_publisher_that_keeps_failures_to_itself_is_caught(self, bench: PublisherBench) -> None:
        bench.publisher = Hopeful(bench.publisher)
        contract = EventPublisherContract()
        with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
            await contract.test_what_nobody_has_confirmed_is_a_failure_and_arrives_when_it_is_published_again(bench)
