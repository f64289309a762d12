"""Sends answers to where the request wants them; those of one moment go out in one write."""

from __future__ import annotations

import asyncio

import aiormq
from pydantic_core import to_json

from adapters.amqp import frames, wire_access
from adapters.amqp.calls import guarded
from adapters.amqp.connection import ChannelOf, Link
from adapters.amqp.envelope import JSON
from adapters.amqp.errors import BrokerUnavailable
from millrace.contracts.wire import Reply

DEADLINE = 5.0
# What one flush grants and what it answers reach this within so many turns of the loop of each other.
GATHER_TURNS = 3


class Replies:
    """Answers are transient and not mandatory: a sender that is gone has no use for its answer."""

    def __init__(self, link: Link) -> None:
        self._channel = ChannelOf(link, confirms=False)
        self._waiting: list[tuple[str, bytes, bytes]] = []
        self._writing: asyncio.Task[None] | None = None

    async def send(self, queue: str, correlation_id: str, name: str, reply: Reply) -> None:
        """Returns once the answer is written to the broker's socket.

        Raises:
            BrokerUnavailable: it may not have been written.
        """
        properties = frames.properties(
            content_type=JSON, persistent=False, correlation_id=correlation_id, type=name[:128]
        )
        self._waiting.append((queue, properties, to_json(reply.to_wire())))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_waiting())
        # Shielded: one request that is cancelled must not take the other answers of the same write with it.
        await asyncio.shield(self._writing)

    async def _write_waiting(self) -> None:
        for _ in range(GATHER_TURNS):
            await asyncio.sleep(0)
        batch, self._waiting, self._writing = self._waiting, [], None
        try:
            channel = await wire_access.low_level(await self._channel.get(DEADLINE))
            write = _write_packed if wire_access.supports_packed_frames(channel) else _write_each
            await guarded(write(channel, batch), DEADLINE)
        except BrokerUnavailable:
            self._channel.distrust()
            raise


async def _write_packed(channel: aiormq.Channel, batch: list[tuple[str, bytes, bytes]]) -> None:
    packed = (
        frames.publication(
            channel.number, "", queue, properties, body, mandatory=False, body_limit=channel.max_content_size
        )
        for queue, properties, body in batch
    )
    async with channel.lock:
        written = await wire_access.hand_over(channel, b"".join(packed))
    # The next answers need not wait for this.
    await written


async def _write_each(channel: aiormq.Channel, batch: list[tuple[str, bytes, bytes]]) -> None:
    """The library's own way, for a version of it that no longer has what packing needs."""
    for queue, properties, body in batch:
        decoded = aiormq.spec.Basic.Properties()
        decoded.unmarshal(int.from_bytes(properties[:2], "big"), properties[2:])
        await channel.basic_publish(body, routing_key=queue, properties=decoded)
