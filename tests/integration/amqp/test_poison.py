"""Messages that cannot even be decoded, and messages that come back again and again."""

from __future__ import annotations

import struct

import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity

from adapters.amqp import declaration, frames, wire_access
from adapters.amqp.bus import AmqpBus
from adapters.amqp.commands import REDELIVERIES
from adapters.amqp.topology import COMMANDS, PARKED, topology
from tests.integration.amqp.caller import Caller
from tests.integration.amqp.conftest import messages_in
from tests.integration.amqp.gateway import MemoryGateway
from tests.support.running import until

JOB = {"name": "transcribe"}
MESSAGE_ID, TIMESTAMP = 1 << 7, 1 << 6

UNDECODABLE = {
    "message id that is not utf-8": (MESSAGE_ID).to_bytes(2, "big") + b"\x02\xff\xfe",
    "date after the year 9999": (TIMESTAMP).to_bytes(2, "big") + struct.pack(">Q", 10**17),
}


@pytest.mark.slow
@pytest.mark.parametrize("properties", UNDECODABLE.values(), ids=UNDECODABLE)
async def test_a_message_that_the_library_cannot_decode_is_parked_and_blocks_nobody_for_long(
    bus: AmqpBus,
    caller: Caller,
    gateway: MemoryGateway,
    connection: AbstractConnection,
    properties: bytes,
) -> None:
    for index in range(30):
        await caller.publish("default.job.enqueue", JOB, message_id=f"before-{index}")
    async with connection.channel(publisher_confirms=False) as unconfirmed:
        low_level = await wire_access.low_level(unconfirmed)
        poison = frames.publication(
            low_level.number, COMMANDS, "default.job.enqueue", properties, b"{}", mandatory=False, body_limit=100
        )
        await wire_access.write(low_level, poison)
    for index in range(30):
        await caller.publish("default.job.enqueue", JOB, message_id=f"after-{index}")
    await until(lambda: len(gateway.jobs) == 60, seconds=60)
    await until(lambda: _holds(connection, PARKED, 1), seconds=60)
    await until(lambda: bus.healthy)
    assert (await caller.call("default.job.enqueue", JOB))["ok"]
    await until(lambda: _holds(connection, COMMANDS, 0))


async def test_a_command_that_was_delivered_too_often_is_parked_unexecuted(
    connection: AbstractConnection, broker_url: str, gateway: MemoryGateway, channel: AbstractChannel
) -> None:
    await declaration.apply(connection, topology())
    await (await Caller.on(channel)).publish("default.job.enqueue", JOB, message_id="m-1")
    queue = await channel.get_queue(COMMANDS)
    for _ in range(REDELIVERIES):
        await (await queue.get(timeout=5)).nack(requeue=True)
    bus = AmqpBus(broker_url, gateway)
    await bus.start()
    await until(lambda: _holds(connection, PARKED, 1))
    await bus.stop()
    parked = await (await channel.get_queue(PARKED)).get(no_ack=True)
    assert (parked.message_id, parked.headers["reason"]) == ("m-1", "redelivered")
    assert gateway.calls == []


async def test_a_message_that_cannot_be_parked_is_kept_until_it_can(
    bus: AmqpBus, caller: Caller, channel: AbstractChannel, connection: AbstractConnection
) -> None:
    await channel.queue_delete(PARKED)
    await caller.publish("default.job.enqueue", b"{", message_id="m-1")
    await until(lambda: _parked_again(connection))
    await until(lambda: _holds(connection, COMMANDS, 0))
    assert bus.healthy


async def _parked_again(connection: AbstractConnection) -> bool:
    try:
        return await messages_in(connection, PARKED) == 1
    except ChannelNotFoundEntity:
        return False


async def _holds(connection: AbstractConnection, queue: str, messages: int) -> bool:
    return await messages_in(connection, queue) == messages
