"""What became of a message on the wire: told by the provider that had taken it, or by an application's own channel."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from millrace.contracts.notification import ChannelName
from millrace.contracts.wire import Identifier, Message, Name


class Receipt(Message):
    """`notification.receipt`: what a provider has told later about a message that it had taken.

    Attributes:
        status: `bounced` counts although it was `delivered` before; of the others the first one counts.
        provider, provider_message_id: where they are given and another message was sent last, nothing changes.
    """

    notification_id: Identifier
    channel: ChannelName
    status: Literal["delivered", "bounced", "failed"]
    reason: Annotated[str, StringConstraints(max_length=2_000)] = ""
    provider: Name | None = None
    provider_message_id: Annotated[str, StringConstraints(max_length=500)] | None = None


class ReportDelivery(Message):
    """`notification.report`: what an application's own channel has made of an attempt that was handed over to it.

    Attributes:
        status: `rejected` is never tried again, `unavailable` is, after `retry_after` seconds at the earliest.
    """

    notification_id: Identifier
    channel: ChannelName
    attempt: Annotated[int, Field(ge=1, le=1_000_000)]
    status: Literal["sent", "rejected", "unavailable"]
    provider_message_id: Annotated[str, StringConstraints(max_length=500)] | None = None
    reason: Annotated[str, StringConstraints(max_length=2_000)] = ""
    retry_after: Annotated[float, Field(ge=0, le=604_800)] | None = None


COMMANDS: dict[str, type[Message]] = {
    "notification.receipt": Receipt,
    "notification.report": ReportDelivery,
}
