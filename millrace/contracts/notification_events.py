"""What is recorded about notifications: the data of their events."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from millrace.contracts.wire import Fact


class NotificationCreated(Fact):
    """A notification was accepted. What becomes of each channel follows as events of its own.

    Attributes:
        in_inbox: whether the user's inbox shows it.
    """

    user_id: str
    type: str
    title: str
    message: str
    html: str | None = None
    category: str | None = None
    action_url: str | None = None
    action_label: str | None = None
    metadata: dict[str, Any]
    channels: list[str]
    critical: bool
    in_inbox: bool
    locale: str | None = None
    template: dict[str, Any] | None = None
    throttle: dict[str, Any] | None = None
    digest: dict[str, Any] | None = None
    digest_of: list[str]


class NotificationQueued(Fact):
    """It is to be sent through the channel now."""

    channel: str
    address: str
    delivery_id: str


class NotificationDeferred(Fact):
    """It is not to be sent through the channel before `until`, for a reason such as `quiet-hours`."""

    channel: str
    address: str
    delivery_id: str
    reason: str
    until: datetime


class NotificationSuppressed(Fact):
    """It is not sent through the channel; `reason` is a word for programs, `detail` a sentence."""

    channel: str
    reason: str
    detail: str


class NotificationSent(Fact):
    """A provider has taken it; `detail` says why those before it have not."""

    channel: str
    attempt: int
    provider: str
    provider_message_id: str | None = None
    detail: str | None = None


class NotificationDelivered(Fact):
    """It has arrived: in the inbox, or as the provider has told later."""

    user_id: str
    channel: str


class NotificationHandedOver(Fact):
    """An application's worker is to send it through its own channel, and to report by `until`."""

    channel: str
    attempt: int
    until: datetime


class NotificationAttemptFailed(Fact):
    """It could not be sent now, and is tried again at `retry_at`."""

    channel: str
    attempt: int
    provider: str
    reason: str
    retry_at: datetime


class NotificationFailed(Fact):
    """It could not be sent through the channel, and is not tried again; `reason` is a word, `detail` a sentence."""

    channel: str
    attempt: int
    provider: str
    reason: str
    detail: str


class NotificationRead(Fact):
    user_id: str


class NotificationCancelled(Fact):
    user_id: str
    reason: str | None = None


class NotificationSnoozed(Fact):
    """The inbox does not show it until then."""

    user_id: str
    until: datetime


class NotificationWoken(Fact):
    """The time of a snooze is over: the inbox shows it again, as unread."""

    user_id: str


class NotificationRemoved(Fact):
    """It has left the read models; the log keeps it."""

    user_id: str
    reason: str


VERSIONS: dict[str, int] = {"notification.sent": 2}
EVENTS: dict[str, type[Fact]] = {
    "notification.created": NotificationCreated,
    "notification.queued": NotificationQueued,
    "notification.deferred": NotificationDeferred,
    "notification.suppressed": NotificationSuppressed,
    "notification.sent": NotificationSent,
    "notification.delivered": NotificationDelivered,
    "notification.handed_over": NotificationHandedOver,
    "notification.attempt_failed": NotificationAttemptFailed,
    "notification.failed": NotificationFailed,
    "notification.read": NotificationRead,
    "notification.cancelled": NotificationCancelled,
    "notification.snoozed": NotificationSnoozed,
    "notification.woken": NotificationWoken,
    "notification.removed": NotificationRemoved,
}
