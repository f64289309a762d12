"""Declaring, checking and exporting the topology."""

from __future__ import annotations

import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection

from adapters.amqp import declaration
from adapters.amqp.errors import TopologyMismatch
from adapters.amqp.topology import COMMANDS, EVENTS_LOG, QUERIES, subscription_queue, topology


async def test_applying_twice_changes_nothing_and_nothing_is_missing(connection: AbstractConnection) -> None:
    await declaration.apply(connection, topology())
    await declaration.apply(connection, topology())
    assert await declaration.check(connection, topology()) == []


async def test_an_empty_broker_misses_everything_and_checking_creates_nothing(connection: AbstractConnection) -> None:
    for _ in range(2):
        missing = await declaration.check(connection, topology())
        assert {difference.problem for difference in missing} == {"missing"}
        assert len(missing) == len(topology().exchanges) + len(topology().queues)


async def test_a_queue_with_other_settings_is_named_with_the_way_out(
    connection: AbstractConnection, channel: AbstractChannel
) -> None:
    await channel.declare_queue(COMMANDS, durable=True, arguments={"x-queue-type": "classic"})
    with pytest.raises(TopologyMismatch) as raised:
        await declaration.apply(connection, topology())
    mismatch = raised.value
    assert (mismatch.kind, mismatch.name) == ("queue", COMMANDS)
    assert mismatch.argument in topology().queues[1].arguments
    assert f"rabbitmqctl delete_queue {COMMANDS}" in str(mismatch)
    found = {difference.name: difference.problem for difference in await declaration.check(connection, topology())}
    assert found[COMMANDS] == "different"
    assert found[QUERIES] == "missing"


async def test_a_queue_that_holds_nothing_lasting_is_replaced(
    connection: AbstractConnection, channel: AbstractChannel
) -> None:
    await channel.declare_queue(QUERIES, durable=True, arguments={"x-queue-type": "classic"})
    await declaration.apply(connection, topology())
    assert await declaration.check(connection, topology()) == []


async def test_an_exchange_of_another_kind_is_named(connection: AbstractConnection, channel: AbstractChannel) -> None:
    await channel.declare_exchange(QUERIES, "fanout", durable=True)
    with pytest.raises(TopologyMismatch) as raised:
        await declaration.apply(connection, topology())
    assert (raised.value.kind, raised.value.name, raised.value.argument) == ("exchange", QUERIES, "type")


def test_the_export_has_every_entity_with_its_virtual_host() -> None:
    exported = topology().export("millrace")
    assert {queue["name"] for queue in exported["queues"]} == {queue.name for queue in topology().queues}
    entities = [*exported["exchanges"], *exported["queues"], *exported["bindings"]]
    assert {entity["vhost"] for entity in entities} == {"millrace"}
    log = next(queue for queue in exported["queues"] if queue["name"] == EVENTS_LOG)
    assert log["arguments"]["x-queue-type"] == "stream"


def test_no_queue_is_transient_since_newer_brokers_refuse_those() -> None:
    assert all(queue["durable"] for queue in topology().export()["queues"])


def test_a_subscription_whose_queue_name_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="255"):
        subscription_queue("t", "ü" * 128)
