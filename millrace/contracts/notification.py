"""Notifications on the wire: what is sent to users, how it is read, and what became of each channel."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Protocol
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, field_validator, model_validator
from pydantic_core import to_json

from millrace.contracts.job import PositiveSeconds, Time
from millrace.contracts.wire import Fact, Identifier, Message, Name, Text

IN_APP = "in-app"
DEFAULTS_USER = "*"
MAX_METADATA_BYTES = 65_536
LINK_SCHEMES = ("", "http", "https", "mailto", "tel")


class NotificationType(StrEnum):
    """How a notification is to be taken."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    ERROR = "error"


class NotificationChannel(StrEnum):
    """The ways to reach a user that Millrace knows by itself; an application may register others by name."""

    IN_APP = "in-app"
    EMAIL = "email"
    PUSH = "push"
    SMS = "sms"
    WEBHOOK = "webhook"


class DeliveryStatus(StrEnum):
    """What became of one channel of a notification. `sent` was taken by a provider, `delivered` has arrived."""

    QUEUED = "queued"
    DEFERRED = "deferred"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    SUPPRESSED = "suppressed"


def _channel(value: object) -> object:
    return IN_APP if value == "in_app" else value


def _link(value: str) -> str:
    if urlsplit(value.strip()).scheme.lower() not in LINK_SCHEMES:
        raise ValueError("is not a link that a page may follow: begin with https://, http://, mailto:, tel: or a path")
    return value


def _bounded(value: dict[str, Any]) -> dict[str, Any]:
    size = len(to_json(value, inf_nan_mode="constants"))
    if size > MAX_METADATA_BYTES:
        raise ValueError(f"has {size} bytes; it may have {MAX_METADATA_BYTES}, store more elsewhere")
    return value


ChannelName = Annotated[str, BeforeValidator(_channel), StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Channels = Annotated[tuple[ChannelName, ...], Field(max_length=16)]
UserId = Identifier
Title = Annotated[str, StringConstraints(max_length=500)]
Link = Annotated[str, StringConstraints(max_length=2_048), AfterValidator(_link)]
Address = Annotated[str, StringConstraints(min_length=1, max_length=4_096)]
Bag = Annotated[dict[str, Any], AfterValidator(_bounded)]


class Throttle(Message):
    """At most `limit` notifications with this key go to the user through each channel within `per` seconds.

    The inbox shows all of them.
    """

    key: Name
    limit: Annotated[int, Field(ge=1, le=10_000)] = 1
    per: PositiveSeconds = 3_600.0


class Digest(Message):
    """Notifications with this key wait `window` seconds, counted from the first, and then go out as one."""

    key: Name
    window: PositiveSeconds = 900.0


class Send(Message):
    """`notification.send`: tells a user something, through one or several channels.

    Attributes:
        title, message: text; with `template` they come from there.
        channels: default those of the user's preferences, else the inbox alone.
        critical: goes out at once whatever the user's preferences, quiet hours and throttles say.
        recipient: addresses to use instead of the user's contact points, by channel; a plain text is meant for every
            channel besides the inbox.
        template: name of a template, filled with `context`.
        locale: language of the template; default that of the user.
    """

    user_id: UserId
    type: NotificationType = NotificationType.INFO
    title: Title | None = None
    message: Text = ""
    category: Name | None = None
    action_url: Link | None = None
    action_label: Title | None = None
    metadata: Bag = Field(default_factory=dict)
    channels: Channels = ()
    critical: bool = False
    recipient: Address | dict[ChannelName, Address] | None = None
    template: Name | None = None
    context: Bag = Field(default_factory=dict)
    locale: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$")] | None = None
    throttle: Throttle | None = None
    digest: Digest | None = None

    @field_validator("user_id")
    @classmethod
    def _a_user(cls, value: str) -> str:
        if value == DEFAULTS_USER:
            raise ValueError("`*` stands for the tenant's defaults and is nobody who can be told anything")
        return value

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_unsaid(cls, data: Any) -> Any:
        # A null says the same as leaving the field out, which is what optional fields of other languages become.
        if isinstance(data, Mapping):
            return {key: value for key, value in data.items() if value is not None}
        return data

    @model_validator(mode="after")
    def _says_something(self) -> Send:
        if self.template is None and not self.title:
            raise ValueError("give a `title`, or a `template` that makes one")
        return self

    def address_for(self, channel: str) -> str | None:
        """The address that the command itself names."""
        return self.recipient.get(channel) if isinstance(self.recipient, dict) else self.recipient


class MarkRead(Message):
    """`notification.mark_read`: the user has read it. With `user_id` it must be that user's."""

    notification_id: Identifier
    user_id: UserId | None = None


class MarkAllRead(Message):
    """`notification.mark_all_read`: everything that is in the user's inbox has been read."""

    user_id: UserId


class CancelNotification(Message):
    """`notification.cancel`: what has not gone out yet does not go out, and the inbox does not show it any more."""

    notification_id: Identifier
    user_id: UserId | None = None
    reason: Annotated[str, StringConstraints(max_length=500)] | None = None


class SnoozeNotification(Message):
    """`notification.snooze`: the inbox hides it until then, and shows it as unread again."""

    notification_id: Identifier
    user_id: UserId | None = None
    until: Time | None = None
    seconds: PositiveSeconds | None = None

    @model_validator(mode="after")
    def _one_time(self) -> SnoozeNotification:
        if (self.until is None) == (self.seconds is None):
            raise ValueError("give either `until` or `seconds`")
        return self


class GetNotification(Message):
    """Query `notification.get`. With `user_id` it must be that user's."""

    notification_id: Identifier
    user_id: UserId | None = None


class ListNotifications(Message):
    """Query `notification.list`: newest first, in pages.

    Attributes:
        user_id: whose inbox; without it everybody's.
        scope: `inbox` is what the inbox shows now; `all` has whatever was sent besides, through any channel.
        status: notifications of which some channel has come to this, in the scope `all`.
    """

    user_id: UserId | None = None
    unread_only: bool = False
    type: NotificationType | None = None
    category: Name | None = None
    scope: Literal["inbox", "all"] = "inbox"
    status: DeliveryStatus | None = None
    limit: Annotated[int, Field(ge=1, le=1_000)] = 50
    cursor: str | None = Field(None, max_length=128)


class CountUnread(Message):
    """Query `notification.unread_count`."""

    user_id: UserId


class ChannelDelivery(Fact):
    """What became of a notification in one channel.

    Attributes:
        reason: why it was not sent, or not yet: `no-address`, `not-configured`, `category-off`, `channel-off`,
            `quiet-hours`, `throttled`, `digest`, `digested`, `read`, `cancelled`, `rejected`, `attempts-exhausted` …
        due_at: when it is tried, again or for the first time.
    """

    channel: str
    status: DeliveryStatus
    reason: str | None = None
    detail: str | None = None
    due_at: datetime | None = None
    attempts: int = 0
    provider: str | None = None
    provider_message_id: str | None = None
    delivery_id: str | None = None
    updated_at: datetime | None = None


class HeldBack(Fact):
    """Why nothing is sent through a channel, or not yet; fields as of `ChannelDelivery`."""

    reason: str
    detail: str | None = None
    due_at: datetime | None = None


class Planned(Protocol):
    """One channel of a notification, as it is kept."""

    status: str
    reason: str | None
    detail: str | None
    due_at: datetime | None


def sent_answer(notification_id: str, steps: Mapping[str, Planned]) -> dict[str, Any]:
    """The answer to `notification.send`: the status of each channel, and why some are held back."""
    held_back = {
        channel: HeldBack(reason=step.reason, detail=step.detail, due_at=step.due_at).model_dump(mode="json")
        for channel, step in steps.items()
        if step.reason is not None
    }
    deliveries = {channel: step.status for channel, step in steps.items()}
    return {"notification_id": notification_id, "deliveries": deliveries, "held_back": held_back}


class Notification(Fact):
    """A notification: what is given to `send`, and what is read.

    Attributes:
        id: given by the service.
        read: `read_at` says since when.
        template: name, version and locale of the template that made the text.
        digest_of: the notifications that this one sums up.
        deliveries: one for each channel.
    """

    id: str = ""
    type: NotificationType = NotificationType.INFO
    title: str = ""
    message: str = ""
    timestamp: datetime | None = None
    read: bool = False
    user_id: str = ""
    category: str | None = None
    action_url: str | None = None
    action_label: str | None = None
    metadata: dict[str, Any] | None = None
    channels: Annotated[tuple[ChannelName, ...], BeforeValidator(lambda value: value or ())] = ()
    critical: bool = False
    locale: str | None = None
    template: dict[str, Any] | None = None
    digest_of: tuple[str, ...] = ()
    read_at: datetime | None = None
    snoozed_until: datetime | None = None
    cancelled: bool = False
    deliveries: tuple[ChannelDelivery, ...] = ()


COMMANDS: dict[str, type[Message]] = {
    "notification.send": Send,
    "notification.mark_read": MarkRead,
    "notification.mark_all_read": MarkAllRead,
    "notification.cancel": CancelNotification,
    "notification.snooze": SnoozeNotification,
}
QUERIES: dict[str, type[Message]] = {
    "notification.get": GetNotification,
    "notification.list": ListNotifications,
    "notification.unread_count": CountUnread,
}
