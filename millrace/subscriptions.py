"""`app.subscriptions`: durable named places in the log."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any, Literal

from millrace.contracts.event import Subscription
from millrace.errors import NotFound

if TYPE_CHECKING:
    from millrace.client import Millrace

Subscribed = list[Subscription]


class Subscriptions:
    """Creates, reads and steers subscriptions. Delivery is done by the worker, or by a queue on RabbitMQ."""

    def __init__(self, app: Millrace) -> None:
        self._app = app

    async def create(
        self,
        name: str,
        pattern: str,
        *,
        delivery: Literal["pull", "queue"] = "pull",
        start: str = "head",
        priority: int = 5,
        max_attempts: int = 5,
    ) -> None:
        """Creates the subscription or gives an existing one these settings; its place stays.

        Args:
            delivery: `pull` is read from its position; `queue` fills the AMQP queue `millrace.sub.<tenant>.<name>`.
            start: `head`, `beginning` or a position token; only a new subscription looks at it.

        Raises:
            Invalid: the pattern or another value is not acceptable.
        """
        body = {
            "name": name, "pattern": pattern, "delivery": delivery, "start": start, "priority": priority,
            "max_attempts": max_attempts,
        }  # fmt: skip
        await self._execute("create", body)

    async def get(self, name: str) -> Subscription | None:
        """The subscription, or None where this tenant has none of that name."""
        try:
            answer = await self._app.link.query("subscription.get", {"name": name})
        except NotFound:
            return None
        return Subscription.model_validate(answer["subscription"])

    async def list(self) -> Subscribed:
        """All subscriptions of the tenant."""
        answer = await self._app.link.query("subscription.list", {})
        return [Subscription.model_validate(each) for each in answer["subscriptions"]]

    async def acknowledge(self, name: str, position: str) -> None:
        """Everything up to `position` has been handled; an older position changes nothing."""
        await self._execute("acknowledge", {"name": name, "position": position})

    async def park(self, name: str, *, position: str, event_id: str, error: str, attempts: int) -> None:
        """Sets an event aside that could not be handled and moves on behind it."""
        body = {"name": name, "position": position, "event_id": event_id, "error": error, "attempts": attempts}
        await self._execute("park", body)

    async def release(self, name: str, event_id: str) -> None:
        """Takes a parked event off the list: it was handled after all, or is given up."""
        await self._execute("release", {"name": name, "event_id": event_id})

    async def pause(self, name: str) -> None:
        """Stops delivery; the place stays."""
        await self._execute("set_active", {"name": name, "active": False})

    async def resume(self, name: str) -> None:
        """Goes on with delivery from where it stopped."""
        await self._execute("set_active", {"name": name, "active": True})

    async def _execute(self, command: str, body: builtins.dict[str, Any]) -> None:
        await self._app.link.execute(f"subscription.{command}", body)
