"""Declares the topology on a broker, and compares a broker with it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed

from adapters.amqp.calls import guarded
from adapters.amqp.errors import BrokerUnavailable, TopologyMismatch
from adapters.amqp.topology import Binding, Exchange, Queue, Topology

DEADLINE = 10.0

_INEQUIVALENT = re.compile(
    r"inequivalent arg '(?P<argument>[^']+)' for (?P<kind>queue|exchange) '(?P<name>.+)' in vhost '[^']*': "
    r"received (?P<wanted>.+) but current is (?P<actual>.+)"
)


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as declared: `problem` is `missing` or `different`."""

    kind: str
    name: str
    problem: str
    detail: str = ""


async def apply(connection: AbstractConnection, topology: Topology) -> None:
    """Declares what is missing, and may be repeated at any time.

    Of what exists it changes nothing, but a queue that holds nothing lasting is replaced where it was declared
    otherwise.

    Raises:
        TopologyMismatch: something exists with other settings.
        BrokerUnavailable: the broker was lost, or did not answer within 10 s.
    """
    await guarded(_apply(connection, topology), DEADLINE)


async def unbind(connection: AbstractConnection, binding: Binding) -> None:
    """Takes a binding away; nothing happens where it, or its queue, is not there.

    Raises:
        BrokerUnavailable: the broker was lost, or did not answer within 10 s.
    """
    await guarded(_unbind(connection, binding), DEADLINE)


async def declare_queue(connection: AbstractConnection, queue: Queue) -> int:
    """Declares one queue; returns how many messages wait in it.

    Raises:
        TopologyMismatch: it exists with other settings.
        BrokerUnavailable: the broker was lost, or did not answer within 10 s.
    """
    return await guarded(_declare_queue(connection, queue), DEADLINE)


async def waiting_in(connection: AbstractConnection, queue: str) -> int | None:
    """How many messages wait in a queue for a consumer, or None where the queue does not exist.

    Raises:
        BrokerUnavailable: the broker was lost, or did not answer within 10 s.
    """
    try:
        return await guarded(_waiting_in(connection, queue), DEADLINE)
    except ChannelNotFoundEntity:
        return None


async def check(connection: AbstractConnection, topology: Topology) -> list[Difference]:
    """What is missing or different. Creates nothing.

    AMQP has no question for bindings, so a missing binding is not found; `apply` makes it.

    Raises:
        BrokerUnavailable: the broker was lost, or did not answer within 10 s.
    """
    differences = []
    for entity in _entities(topology):
        kind = "exchange" if isinstance(entity, Exchange) else "queue"
        try:
            # A passive declaration asks only for existence; one that is not passive compares, and would create.
            await guarded(_declare(connection, entity, passive=True), DEADLINE)
            await guarded(_declare(connection, entity, passive=False), DEADLINE)
        except ChannelNotFoundEntity:
            differences.append(Difference(kind, entity.name, "missing"))
        except TopologyMismatch as mismatch:
            detail = f"{mismatch.argument}: wanted {mismatch.wanted}, is {mismatch.actual}"
            differences.append(Difference(kind, entity.name, "different", detail))
    return differences


def _entities(topology: Topology) -> list[Exchange | Queue]:
    return [*topology.exchanges, *topology.queues]


async def _apply(connection: AbstractConnection, topology: Topology) -> None:
    for entity in _entities(topology):
        try:
            await _declare(connection, entity, passive=False)
        except TopologyMismatch:
            if not isinstance(entity, Queue) or entity.lasting:
                raise
            # As an earlier release declared it; whoever waits for an answer of what is in it sends it again.
            await _replace(connection, entity)
    async with connection.channel(publisher_confirms=False) as channel:
        low_level = await channel.get_underlay_channel()
        for binding in topology.bindings:
            await low_level.queue_bind(queue=binding.queue, exchange=binding.exchange, routing_key=binding.key)


async def _replace(connection: AbstractConnection, queue: Queue) -> None:
    async with connection.channel(publisher_confirms=False) as channel:
        await (await channel.get_underlay_channel()).queue_delete(queue.name)
        await _declare_on(channel, queue, passive=False)


async def _unbind(connection: AbstractConnection, binding: Binding) -> None:
    async with connection.channel(publisher_confirms=False) as channel:
        low_level = await channel.get_underlay_channel()
        await low_level.queue_unbind(queue=binding.queue, exchange=binding.exchange, routing_key=binding.key)


async def _declare_queue(connection: AbstractConnection, queue: Queue) -> int:
    async with connection.channel(publisher_confirms=False) as channel:
        return await _declare_on(channel, queue, passive=False)


async def _waiting_in(connection: AbstractConnection, queue: str) -> int:
    async with connection.channel(publisher_confirms=False) as channel:
        return await _declare_on(channel, Queue(queue), passive=True)


async def _declare(connection: AbstractConnection, entity: Exchange | Queue, *, passive: bool) -> None:
    async with connection.channel(publisher_confirms=False) as channel:
        await _declare_on(channel, entity, passive=passive)


async def _declare_on(channel: AbstractChannel, entity: Exchange | Queue, *, passive: bool) -> int:
    """Declares one thing; of a queue, returns how many messages wait in it."""
    low_level = await channel.get_underlay_channel()
    try:
        if isinstance(entity, Exchange):
            await low_level.exchange_declare(
                entity.name, exchange_type="topic", durable=entity.durable, passive=passive
            )
            return 0
        declared = await low_level.queue_declare(
            entity.name, durable=True, passive=passive, arguments=dict(entity.arguments)
        )
    except ChannelPreconditionFailed as error:
        _raise_mismatch(entity, error)
    if declared is None:
        raise BrokerUnavailable("the broker answered a declaration without a result")
    return declared.message_count or 0


def _raise_mismatch(entity: Exchange | Queue, error: ChannelPreconditionFailed) -> NoReturn:
    kind = "exchange" if isinstance(entity, Exchange) else "queue"
    found = _INEQUIVALENT.search(str(error))
    if found is None:
        raise TopologyMismatch(kind, entity.name, "setting", "what Millrace declares", str(error)) from error
    raise TopologyMismatch(kind, entity.name, found["argument"], found["wanted"], found["actual"]) from error
