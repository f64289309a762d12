"""The port of the delivery channels: what one delivery brings along, and how it can end.

Whatever goes on between a channel and its providers, failover included, is the channel's own business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol


class Delivery(NamedTuple):
    """One notification, or a digest of several, on its way to one user through one channel.

    Attributes:
        delivery_id: the same each time this delivery is tried, so that a provider that knows it sends nothing twice.
        channel: `email`, `push`, `sms`, `webhook` or a name that an application has registered.
        address: where to: what the command said, else the user's contact point for the channel.
        locale: BCP 47 tag of the user's language, or None.
        type: `info`, `success`, `warning` or `error`.
        title, message: rendered text.
        html: rendered HTML, or None where there is only text.
        action_url, action_label: what the user is to open.
        metadata: whatever the sender gave along.
        attempt: 1, 2, 3 …
    """

    tenant: str
    notification_id: str
    delivery_id: str
    user_id: str
    channel: str
    address: str
    locale: str | None
    type: str
    title: str
    message: str
    html: str | None
    action_url: str | None
    action_label: str | None
    category: str | None
    metadata: Mapping[str, Any]
    attempt: int


@dataclass(frozen=True, slots=True)
class Sent:
    """The provider has taken it. `provider_message_id` is its name for the message, if it has told one.

    `detail` says why providers before it have not taken it.
    """

    provider: str
    provider_message_id: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class NotConfigured:
    """The channel has nobody to send through; nothing was tried, and trying again would not help."""

    reason: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """It can never be delivered like this: an address that does not exist, a message that is too long."""

    provider: str
    reason: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    """It could not be delivered now, or nobody knows whether it was. `retry_after` are seconds, where one was told."""

    provider: str
    reason: str
    retry_after: float | None = None


Outcome = Sent | NotConfigured | Rejected | Unavailable


class Channel(Protocol):
    """One way to reach a user.

    Attributes:
        name: what notifications ask for it by.
    """

    name: str

    async def send(self, delivery: Delivery) -> Outcome:
        """Hands the delivery to a provider.

        It may be called again with the same `delivery_id` after a crash. It is cancelled when it takes too long; an
        exception counts as `Unavailable`.
        """
        ...
