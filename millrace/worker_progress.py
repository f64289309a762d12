"""How far a subscription has got, and when that is worth telling the service."""

from __future__ import annotations

import asyncio

from millrace.contracts.wire import Token

# An acknowledgement is an event, and every subscription scans past it: told more often, many subscriptions without
# matches would keep one another busy for ever. Scanning this much again takes one query.
SCANNED_SILENTLY = 10_000


class Progress:
    """The position up to which this worker has seen to everything, and what of that the service knows."""

    def __init__(self) -> None:
        self._reached: Token | None = None
        self._known = 0
        self._worth_telling = asyncio.Event()

    def resume(self, acknowledged: str) -> str:
        """Where to go on: what this worker has handled it does not handle again, acknowledged or not.

        Args:
            acknowledged: token of the position that the service has.
        """
        place = Token.parse(acknowledged)
        self._known = place.position
        reached = self._reached
        if reached is None or reached.epoch != place.epoch or reached.position <= place.position:
            self._reached = place
            self._worth_telling.clear()
        return str(self._reached)

    def move(self, position: str, *, handled: bool) -> None:
        """Everything up to `position` is done; without `handled` there was nothing to do, which can wait."""
        self._reached = Token.parse(position)
        if handled or self._reached.position - self._known >= SCANNED_SILENTLY:
            self._worth_telling.set()

    def pending(self) -> bool:
        """Whether there is something worth telling."""
        return self._worth_telling.is_set()

    async def news(self) -> None:
        """Waits until there is something worth telling."""
        await self._worth_telling.wait()

    def tell(self) -> str:
        """The position to acknowledge; `told` or `untold` follows."""
        self._worth_telling.clear()
        return str(self._reached)

    def told(self, position: str) -> None:
        """The service knows `position`."""
        self._known = Token.parse(position).position

    def untold(self) -> None:
        """The service may not know what `tell` returned last; it is worth telling again."""
        self._worth_telling.set()
