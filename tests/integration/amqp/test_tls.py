"""`amqps`: whatever connects to the broker does so through TLS, and to nobody whose certificate is not trusted."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from aio_pika.abc import AbstractChannel, AbstractConnection
from yarl import URL

from adapters.amqp.bus import AmqpBus
from domain.ports import Outgoing
from millrace.amqp_session import Session
from millrace.repeating import Unreached
from tests.integration.amqp.caller import Caller
from tests.integration.amqp.gateway import MemoryGateway
from tests.integration.amqp.proxy import Proxy
from tests.support.running import until


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def secured_url(broker_url: str, authority: trustme.CA) -> AsyncIterator[str]:
    """Of the broker behind a door that speaks TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    url = URL(broker_url)
    door = Proxy(url.host or "localhost", url.port or 5672, tls=context)
    await door.start()
    yield str(url.with_scheme("amqps").with_host("localhost").with_port(door.port))
    await door.stop()


@pytest.fixture
def trusting_url(secured_url: str, authority: trustme.CA, tmp_path: Path) -> str:
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    return str(URL(secured_url).update_query(cafile=str(file)))


async def test_commands_are_answered_and_events_confirmed(
    connection: AbstractConnection, channel: AbstractChannel, trusting_url: str, gateway: MemoryGateway
) -> None:
    bus = AmqpBus(trusting_url, gateway)
    await bus.start()
    try:
        await until(lambda: bus.healthy and bus.publisher.connected)
        caller = await Caller.on(channel)
        assert "result" in await caller.call("default.job.enqueue", {"name": "greet"})
        large = b"x" * 3_000_000
        await bus.publisher.publish([Outgoing("default.t.e", f"e-{n}", "t", large) for n in range(3)])
    finally:
        await bus.stop()


async def test_a_service_does_not_talk_to_a_broker_that_it_does_not_trust(
    connection: AbstractConnection, secured_url: str, gateway: MemoryGateway
) -> None:
    bus = AmqpBus(secured_url, gateway)
    await bus.start()
    try:
        await until(lambda: "certificate" in str(bus.problem).lower())
        assert not bus.healthy
    finally:
        await bus.stop()


async def test_a_client_connects(trusting_url: str) -> None:
    session = await Session.open(trusting_url, timeout=30)
    assert not session.broken
    await session.close()


async def test_a_client_says_why_it_does_not_connect(secured_url: str) -> None:
    with pytest.raises(Unreached, match=r"(?i)certificate"):
        await Session.open(secured_url, timeout=30)
