"""The real broker, in this session's own virtual host, with Millrace's topology deleted before each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection
from yarl import URL

from adapters.amqp.bus import AmqpBus
from adapters.amqp.topology import topology
from tests.integration.amqp.caller import Caller
from tests.integration.amqp.gateway import MemoryGateway
from tests.integration.amqp.proxy import Proxy
from tests.support.running import until


@pytest.fixture
def broker_url(rabbitmq_url: str) -> str:
    return rabbitmq_url


@pytest.fixture
async def connection(broker_url: str) -> AsyncIterator[AbstractConnection]:
    """One to a broker without our topology, which is left so: whoever comes next may start a service on it."""
    async with await aio_pika.connect(broker_url, timeout=60) as connection:
        await remove_topology(connection)
        yield connection
    async with await aio_pika.connect(broker_url, timeout=60) as connection:
        await remove_topology(connection)


async def remove_topology(connection: AbstractConnection) -> None:
    async with connection.channel() as channel:
        for queue in topology().queues:
            await channel.queue_delete(queue.name)
        for exchange in topology().exchanges:
            await channel.exchange_delete(exchange.name)


@pytest.fixture
async def channel(connection: AbstractConnection) -> AsyncIterator[AbstractChannel]:
    async with connection.channel() as channel:
        yield channel


@pytest.fixture
async def proxy(broker_url: str) -> AsyncIterator[Proxy]:
    url = URL(broker_url)
    proxy = Proxy(url.host or "localhost", url.port or 5672)
    await proxy.start()
    yield proxy
    await proxy.stop()


@pytest.fixture
def proxied_url(broker_url: str, proxy: Proxy) -> str:
    return str(URL(broker_url).with_host("127.0.0.1").with_port(proxy.port))


@pytest.fixture
def gateway() -> MemoryGateway:
    return MemoryGateway()


@pytest.fixture
async def bus(connection: AbstractConnection, proxied_url: str, gateway: MemoryGateway) -> AsyncIterator[AmqpBus]:
    """The bus under test, behind the proxy; the tests' own connections go straight to the broker."""
    bus = AmqpBus(proxied_url, gateway)
    await bus.start()
    await until(lambda: bus.healthy and bus.publisher.connected)
    yield bus
    await bus.stop()


@pytest.fixture
async def caller(bus: AmqpBus, channel: AbstractChannel) -> Caller:
    return await Caller.on(channel)


async def messages_in(connection: AbstractConnection, queue: str) -> int:
    async with connection.channel() as channel:
        return (await channel.declare_queue(queue, passive=True)).declaration_result.message_count or 0
