"""What can happen to a notification. What becomes of each channel is told by events of its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from domain.aggregate import Event

if TYPE_CHECKING:
    from domain.notification import Notification

Receipt = Literal["delivered", "bounced", "failed"]
IN_APP = "in-app"
HANDED_OVER = "handed-over"


@dataclass(slots=True)
class Step:
    """One channel of a notification, as of its last event.

    Attributes:
        due_at: when it is to be tried; None once it has ended.
    """

    status: str
    address: str | None = None
    delivery_id: str | None = None
    due_at: datetime | None = None
    reason: str | None = None
    detail: str | None = None
    attempts: int = 0
    provider: str | None = None
    provider_message_id: str | None = None

    @property
    def pending(self) -> bool:
        return self.status in ("queued", "deferred")

    def is_of(self, provider: str | None, provider_message_id: str | None) -> bool:
        """Whether the message that was sent last may be meant; None means any."""
        known = self.provider_message_id
        return provider in (None, self.provider) and (
            None in (known, provider_message_id) or known == provider_message_id
        )

    def end(self, status: str, reason: str | None = None, detail: str | None = None) -> None:
        self.status, self.reason, self.detail, self.due_at = status, reason, detail, None


class Created(Event):
    TOPIC: ClassVar[str] = "notification.created"
    user_id: str
    type: str
    title: str
    message: str
    html: str | None
    category: str | None
    action_url: str | None
    action_label: str | None
    metadata: dict[str, Any]
    channels: list[str]
    critical: bool
    in_inbox: bool
    locale: str | None
    template: dict[str, Any] | None
    throttle: dict[str, Any] | None
    digest: dict[str, Any] | None
    digest_of: list[str]

    def apply(self, notification: Notification) -> None:
        notification.user_id, notification.type, notification.title = self.user_id, self.type, self.title
        notification.message, notification.html, notification.category = self.message, self.html, self.category
        notification.action_url, notification.action_label = self.action_url, self.action_label
        notification.metadata, notification.channels = self.metadata, self.channels
        notification.critical, notification.in_inbox, notification.locale = self.critical, self.in_inbox, self.locale
        notification.template, notification.throttle = self.template, self.throttle
        notification.digest, notification.digest_of = self.digest, self.digest_of


CONTENT = tuple(name for name in Created.__annotations__ if name != "TOPIC")


class Queued(Event):
    TOPIC: ClassVar[str] = "notification.queued"
    channel: str
    address: str
    delivery_id: str

    def apply(self, notification: Notification) -> None:
        notification.steps[self.channel] = Step("queued", self.address, self.delivery_id, self.timestamp)


class Deferred(Event):
    TOPIC: ClassVar[str] = "notification.deferred"
    channel: str
    address: str
    delivery_id: str
    reason: str
    until: datetime

    def apply(self, notification: Notification) -> None:
        notification.steps[self.channel] = Step("deferred", self.address, self.delivery_id, self.until, self.reason)


class Suppressed(Event):
    TOPIC: ClassVar[str] = "notification.suppressed"
    channel: str
    reason: str
    detail: str

    def apply(self, notification: Notification) -> None:
        notification.steps.setdefault(self.channel, Step("queued")).end("suppressed", self.reason, self.detail)


class Sent(Event):
    """Version 2 has `detail`: why providers before this one did not take it."""

    TOPIC: ClassVar[str] = "notification.sent"
    class_version: ClassVar[int] = 2
    channel: str
    attempt: int
    provider: str
    provider_message_id: str | None
    detail: str | None

    @staticmethod
    def upcast_v1_v2(state: dict[str, Any]) -> None:
        state["detail"] = None

    def apply(self, notification: Notification) -> None:
        step = notification.steps[self.channel]
        step.end("sent", None, self.detail)
        step.attempts, step.provider, step.provider_message_id = self.attempt, self.provider, self.provider_message_id


class Delivered(Event):
    TOPIC: ClassVar[str] = "notification.delivered"
    user_id: str
    channel: str

    def apply(self, notification: Notification) -> None:
        notification.steps.setdefault(self.channel, Step("queued")).end("delivered")


class HandedOver(Event):
    TOPIC: ClassVar[str] = "notification.handed_over"
    channel: str
    attempt: int
    until: datetime

    def apply(self, notification: Notification) -> None:
        step = notification.steps[self.channel]
        step.reason, step.due_at = HANDED_OVER, self.until


class AttemptFailed(Event):
    TOPIC: ClassVar[str] = "notification.attempt_failed"
    channel: str
    attempt: int
    provider: str
    reason: str
    retry_at: datetime

    def apply(self, notification: Notification) -> None:
        step = notification.steps[self.channel]
        step.status, step.reason, step.detail = "queued", "attempt-failed", self.reason
        step.attempts, step.provider, step.due_at = self.attempt, self.provider, self.retry_at


class Failed(Event):
    TOPIC: ClassVar[str] = "notification.failed"
    channel: str
    attempt: int
    provider: str
    reason: str
    detail: str

    def apply(self, notification: Notification) -> None:
        step = notification.steps[self.channel]
        step.end("failed", self.reason, self.detail)
        step.attempts, step.provider = self.attempt, self.provider


class Read(Event):
    TOPIC: ClassVar[str] = "notification.read"
    user_id: str

    def apply(self, notification: Notification) -> None:
        notification.read_at = self.timestamp


class Cancelled(Event):
    TOPIC: ClassVar[str] = "notification.cancelled"
    user_id: str
    reason: str | None

    def apply(self, notification: Notification) -> None:
        notification.cancelled = True


class Snoozed(Event):
    TOPIC: ClassVar[str] = "notification.snoozed"
    user_id: str
    until: datetime

    def apply(self, notification: Notification) -> None:
        notification.snoozed_until = self.until


class Woken(Event):
    TOPIC: ClassVar[str] = "notification.woken"
    user_id: str

    def apply(self, notification: Notification) -> None:
        notification.snoozed_until = notification.read_at = None
        notification.woken_at = self.timestamp


class Removed(Event):
    TOPIC: ClassVar[str] = "notification.removed"
    user_id: str
    reason: str

    def apply(self, notification: Notification) -> None:
        notification.removed = True
