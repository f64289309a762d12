"""One message that the broker delivered, and what can still be done with it."""

from __future__ import annotations

from dataclasses import dataclass

from aio_pika import IncomingMessage

from adapters.amqp.acknowledging import Acknowledger


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message with the acknowledgement that belongs to it."""

    message: IncomingMessage
    acknowledger: Acknowledger

    @property
    def lost(self) -> bool:
        """Whether the channel is gone: the broker delivers the message again, to whoever consumes then."""
        return self.acknowledger.lost

    @property
    def redeliveries(self) -> int:
        """How often the broker has delivered the message before."""
        count = self.message.headers.get("x-delivery-count", 0)
        return count if isinstance(count, int) else 0

    def acknowledge(self) -> None:
        self.acknowledger.acknowledge(self._tag)

    async def give_back(self) -> None:
        await self.acknowledger.give_back(self._tag)

    @property
    def _tag(self) -> int:
        return self.message.delivery_tag or 0
