"""Channels of an application's own: the service hands deliveries over, a worker sends them and reports."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from millrace.contracts.notification import Notification
from millrace.errors import NonRetryable, RetryAfter
from millrace.events import Event
from millrace.worker_outcomes import clean

if TYPE_CHECKING:
    from millrace.client import Millrace

PATTERN = "notification.handed_over"
# The sender's own errors are reported; these are for when the service cannot be asked.
MAX_ATTEMPTS = 100
MAX_REASON = 2_000


@dataclass(frozen=True, slots=True)
class OutgoingNotification:
    """What a sender gets.

    Attributes:
        address: what the command said, else the user's contact point for the channel, else the user's id.
        delivery_id: the same each time that this delivery is tried: give it to the provider as its idempotency key.
        attempt: 1, 2, 3 …
    """

    notification: Notification
    channel: str
    address: str
    delivery_id: str
    attempt: int
    html: str | None = None


Sender = Callable[[OutgoingNotification], Awaitable[str | None] | str | None]


class ChannelSender(Protocol):
    """A channel as an object."""

    def send(self, outgoing: OutgoingNotification) -> Awaitable[str | None] | str | None:
        """Sends it, and returns the provider's name for the message, if there is one."""
        ...


class HandedOver:
    """The subscription of one channel."""

    def __init__(self, app: Millrace, channel: str, sender: Sender | ChannelSender) -> None:
        self._app, self._channel = app, channel
        self._send: Sender = sender if callable(sender) else sender.send

    async def __call__(self, event: Event) -> None:
        if event.data["channel"] != self._channel:
            return
        outgoing = await self._outgoing(event)
        if outgoing is not None:
            body = {"notification_id": event.subject, "channel": self._channel, "attempt": outgoing.attempt}
            await self._app.link.execute("notification.report", body | await self._outcome(outgoing))

    async def _outgoing(self, event: Event) -> OutgoingNotification | None:
        """What is to be sent; None where that attempt has been reported already, or is not wanted any more."""
        state = (await self._app.state("notification", event.subject))["state"]
        attempt: int = event.data["attempt"]
        for step in state["deliveries"]:
            if step["channel"] == self._channel and step["status"] == "queued" and step["attempts"] == attempt - 1:
                notification = Notification.model_validate({**state, "id": event.subject})
                return OutgoingNotification(
                    notification, self._channel, step["address"], step["delivery_id"], attempt, state.get("html")
                )
        return None

    async def _outcome(self, outgoing: OutgoingNotification) -> dict[str, Any]:
        try:
            result = self._send(outgoing)
            message_id = await result if inspect.isawaitable(result) else result
        except Exception as error:
            reason = clean(f"{type(error).__name__}: {error}")[:MAX_REASON]
            if isinstance(error, NonRetryable):
                return {"status": "rejected", "reason": reason}
            after = {"retry_after": error.seconds} if isinstance(error, RetryAfter) else {}
            return {"status": "unavailable", "reason": reason, **after}
        return {"status": "sent"} if message_id is None else {"status": "sent", "provider_message_id": str(message_id)}
