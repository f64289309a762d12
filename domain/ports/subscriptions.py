"""Who delivers a subscription."""

from __future__ import annotations

from typing import Literal, Protocol

SubscriptionHold = Literal["held", "taken", "unknown"]


class SubscriptionLeases(Protocol):
    """Which worker delivers a subscription: one at a time, by the database clock."""

    async def take(self, tenant: str, name: str, worker: str, seconds: float) -> SubscriptionHold:
        """Gives the worker the subscription for `seconds` from now, or renews what it has.

        `taken` means that another worker's lease has not run out; `unknown` that there is no such subscription.
        """
        ...

    async def release(self, tenant: str, name: str, worker: str) -> None:
        """Lets another worker have it at once; changes nothing where `worker` does not hold it."""
        ...
