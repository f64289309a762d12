"""Acknowledges deliveries; those of one moment go out in one write."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import aiormq

from adapters.amqp import frames, wire_access
from adapters.amqp.calls import guarded
from adapters.amqp.errors import BrokerUnavailable

DEADLINE = 5.0


class Settled:
    """Which deliveries of a channel are settled, so that a run without a gap needs a single frame."""

    def __init__(self) -> None:
        self._low = 0
        self._above: set[int] = set()

    def settle(self, tag: int) -> None:
        self._above.add(tag)
        while self._low + 1 in self._above:
            self._low += 1
            self._above.discard(self._low)

    def frames(self, channel: int, tags: Sequence[int]) -> Iterator[bytes]:
        """Settles `tags`, which ascend, and yields the frames that acknowledge them on channel number `channel`."""
        run, single = 0, []
        for tag in tags:
            self.settle(tag)
            if self._low >= tag:
                run = tag
            else:
                single.append(tag)
        # The last tag of a run must itself be outstanding, so it is one of those acknowledged now.
        if run:
            yield frames.acknowledgement(channel, run, multiple=True)
        for tag in single:
            yield frames.acknowledgement(channel, tag, multiple=False)


class Acknowledger:
    """Acknowledges on one channel."""

    def __init__(self, channel: aiormq.Channel) -> None:
        self.channel = channel
        self._settled = Settled()
        self._waiting: list[int] = []
        self._writing: asyncio.Task[None] | None = None

    @property
    def lost(self) -> bool:
        """Whether the channel is closed: the broker will deliver again what was not acknowledged."""
        return self.channel.is_closed

    def acknowledge(self, tag: int) -> None:
        """Acknowledges soon. A channel that closes before it is written brings the delivery back."""
        self._waiting.append(tag)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())

    async def give_back(self, tag: int) -> None:
        """Puts a delivery back into its queue."""
        try:
            await guarded(self.channel.basic_nack(tag, requeue=True), DEADLINE)
        except BrokerUnavailable:
            return
        self._settled.settle(tag)

    async def _write(self) -> None:
        await asyncio.sleep(0)
        tags, self._waiting, self._writing = sorted(self._waiting), [], None
        try:
            await guarded(self._send(tags), DEADLINE)
        except BrokerUnavailable:
            pass  # the broker delivers them again, and the same command gets the same answer

    async def _send(self, tags: list[int]) -> None:
        if wire_access.supports_packed_frames(self.channel):
            payload = b"".join(self._settled.frames(self.channel.number, tags))
            async with self.channel.lock:
                await wire_access.write(self.channel, payload)
        else:
            for tag in tags:
                await self.channel.basic_ack(tag, wait=False)
