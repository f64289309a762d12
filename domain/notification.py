"""A notification: what a user is told, and what becomes of it in each channel, each of which ends once."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any, ClassVar, Self

from domain.aggregate import Aggregate
from domain.notification_errors import NoSuchNotification, NothingToCancel, NotInInbox, NotSent
from domain.notification_events import (
    CONTENT,
    IN_APP,
    AttemptFailed,
    Cancelled,
    Created,
    Deferred,
    Delivered,
    Failed,
    HandedOver,
    Queued,
    Read,
    Receipt,
    Removed,
    Sent,
    Snoozed,
    Step,
    Suppressed,
    Woken,
)

KIND = "notification"


class Notification(Aggregate):
    """One message to one user. A channel that has ended stays as it is, whatever is told about it later."""

    KIND: ClassVar[str] = KIND

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
    steps: dict[str, Step]
    read_at: datetime | None
    snoozed_until: datetime | None
    # Snapshots of earlier releases have none.
    woken_at: datetime | None = None

    def __base_init__(self, originator_id: Any, originator_version: int, timestamp: datetime) -> None:
        super().__base_init__(originator_id, originator_version, timestamp)
        self.steps = {}
        self.read_at = self.snoozed_until = None
        self.cancelled = self.removed = False

    @property
    def ended(self) -> bool:
        return self.removed

    @classmethod
    def create(cls, stream: str, now: datetime, content: dict[str, Any]) -> Self:
        """A new notification; what is to be done in each channel is said next.

        Args:
            content: the fields of `Created`.
        """
        return cls.created_by(Created(stream, 1, now, **content))

    def show(self, now: datetime) -> None:
        """The inbox shows it, which is all that there is to be delivered there."""
        self.trigger_event(Delivered, timestamp=now, user_id=self.user_id, channel=IN_APP)

    def queue(self, channel: str, address: str, delivery_id: str, now: datetime) -> None:
        """It is to be sent through the channel now."""
        self.trigger_event(Queued, timestamp=now, channel=channel, address=address, delivery_id=delivery_id)

    def defer(self, channel: str, address: str, delivery_id: str, reason: str, until: datetime, now: datetime) -> None:
        """It is to be sent later. One that is deferred until then already stays so."""
        step = self.steps.get(channel)
        if step is None or (step.pending and (step.reason, step.due_at) != (reason, until)):
            self.trigger_event(
                Deferred, timestamp=now, channel=channel, address=address, delivery_id=delivery_id, reason=reason,
                until=until,
            )  # fmt: skip

    def suppress(self, channel: str, reason: str, detail: str, now: datetime) -> None:
        """It is not to be sent through the channel, if it has not been."""
        step = self.steps.get(channel)
        if step is None or step.pending:
            self.trigger_event(Suppressed, timestamp=now, channel=channel, reason=reason, detail=detail)

    def sent(
        self, channel: str, attempt: int, provider: str, provider_message_id: str | None, now: datetime,
        detail: str | None = None,
    ) -> None:  # fmt: skip
        """A provider has taken it; `detail` says why those before it have not."""
        if self._awaits(channel, attempt):
            self.trigger_event(
                Sent, timestamp=now, channel=channel, attempt=attempt, provider=provider,
                provider_message_id=provider_message_id, detail=detail,
            )  # fmt: skip

    def hand_over(self, channel: str, attempt: int, until: datetime, now: datetime) -> None:
        """An application's worker is to send it, and to tell by then what came of it."""
        if self._awaits(channel, attempt):
            self.trigger_event(HandedOver, timestamp=now, channel=channel, attempt=attempt, until=until)

    def fail_attempt(
        self, channel: str, attempt: int, provider: str, reason: str, retry_at: datetime, now: datetime
    ) -> None:
        """An attempt did not succeed; another one follows."""
        if self._awaits(channel, attempt):
            self.trigger_event(
                AttemptFailed, timestamp=now, channel=channel, attempt=attempt, provider=provider, reason=reason,
                retry_at=retry_at,
            )  # fmt: skip

    def fail(self, channel: str, attempt: int, provider: str, reason: str, detail: str, now: datetime) -> None:
        """No attempt is left, or none would help."""
        if self._awaits(channel, attempt):
            self.trigger_event(
                Failed, timestamp=now, channel=channel, attempt=attempt, provider=provider, reason=reason, detail=detail
            )

    def acknowledge(
        self, channel: str, status: Receipt, detail: str, now: datetime, *, provider: str | None = None,
        provider_message_id: str | None = None,
    ) -> None:  # fmt: skip
        """A provider has told later what became of what it had taken; what has ended otherwise stays as it is.

        Args:
            status: `bounced` counts after `delivered` too: some mail servers take a mail first and send it back then.
            provider: who tells it. Its word may come before the record that it has taken the message.
            provider_message_id: of which message; what is told of another one than was sent last changes nothing.

        Raises:
            NotSent: nothing was sent through the channel.
        """
        step = self.steps.get(channel)
        if step is not None and step.status == "queued" and provider is not None:
            self.sent(channel, step.attempts + 1, provider, provider_message_id, now)
            step = self.steps[channel]
        if step is None or step.status not in ("sent", "delivered", "failed") or channel == IN_APP:
            raise NotSent(self.id, channel)
        if not step.is_of(provider, provider_message_id):
            return
        if status == "delivered" and step.status == "sent":
            self.trigger_event(Delivered, timestamp=now, user_id=self.user_id, channel=channel)
        elif step.status == "sent" or (status == "bounced" and step.status == "delivered"):
            self.trigger_event(
                Failed, timestamp=now, channel=channel, attempt=step.attempts, provider=step.provider or "",
                reason="bounced" if status == "bounced" else "undelivered", detail=detail,
            )  # fmt: skip

    def resend(self, channel: str, now: datetime) -> None:
        """It is to be sent once more, with all its attempts, under the delivery id that the recipient may know.

        Raises:
            NoSuchNotification: it was removed.
            NotSent: nothing was to be sent through the channel.
        """
        self.guard(None)
        step = self.steps.get(channel)
        if step is None or step.address is None or step.delivery_id is None or self.cancelled:
            raise NotSent(self.id, channel)
        if not step.pending:
            self.queue(channel, step.address, step.delivery_id, now)

    def read(self, user_id: str | None, now: datetime) -> None:
        """The user has read it; a second time changes nothing.

        Raises:
            NoSuchNotification: it is not that user's, or it was removed.
        """
        self.guard(user_id)
        if self.read_at is None:
            self.trigger_event(Read, timestamp=now, user_id=self.user_id)

    def read_with_inbox(self, at: datetime, now: datetime) -> None:
        """The user has read the whole inbox at that time. What has come back since then is unread."""
        woken = self.woken_at is not None and self.woken_at > at
        if self.read_at is None and not woken and not self.removed:
            self.trigger_event(Read, timestamp=now, user_id=self.user_id)

    def cancel(self, user_id: str | None, reason: str | None, now: datetime) -> None:
        """What has not gone out stays; the inbox does not show it any more. Repeating changes nothing.

        Raises:
            NoSuchNotification: it is not that user's, or it was removed.
            NothingToCancel: it has gone out, and the inbox does not show it.
        """
        self.guard(user_id)
        if self.cancelled:
            return
        pending = [channel for channel, step in self.steps.items() if step.pending]
        if not pending and not self.in_inbox:
            raise NothingToCancel(self.id)
        self.trigger_event(Cancelled, timestamp=now, user_id=self.user_id, reason=reason)
        for channel in pending:
            self.suppress(channel, "cancelled", reason or "it was cancelled", now)

    def snooze(self, user_id: str | None, until: datetime, now: datetime) -> None:
        """The inbox hides it until then.

        Raises:
            NoSuchNotification: it is not that user's, or it was removed.
            NotInInbox: the inbox does not show it.
        """
        self.guard(user_id)
        if not self.in_inbox or self.cancelled:
            raise NotInInbox(self.id)
        if self.snoozed_until != until:
            self.trigger_event(Snoozed, timestamp=now, user_id=self.user_id, until=until)

    def wake(self, until: datetime, now: datetime) -> None:
        """The time of that snooze is over."""
        if self.snoozed_until == until and not self.cancelled and not self.removed:
            self.trigger_event(Woken, timestamp=now, user_id=self.user_id)

    def remove(self, reason: str, now: datetime) -> None:
        """It leaves the read models, unless something is still to be sent."""
        if not self.removed and not any(step.pending for step in self.steps.values()):
            self.trigger_event(Removed, timestamp=now, user_id=self.user_id, reason=reason)

    def guard(self, user_id: str | None) -> None:
        """Return where the user may know of it.

        Raises:
            NoSuchNotification: it is somebody else's, or it was removed.
        """
        if self.removed or user_id not in (None, self.user_id):
            raise NoSuchNotification(self.id)

    def _awaits(self, channel: str, attempt: int) -> bool:
        """Whether the outcome of that attempt is news."""
        step = self.steps.get(channel)
        return step is not None and step.pending and step.attempts == attempt - 1

    def to_wire(self) -> dict[str, Any]:
        content = {name: getattr(self, name) for name in CONTENT}
        return content | {
            "timestamp": self.created_on,
            "read": self.read_at is not None,
            "read_at": self.read_at,
            "snoozed_until": self.snoozed_until,
            "cancelled": self.cancelled,
            "removed": self.removed,
            "deliveries": [{"channel": channel, **asdict(step)} for channel, step in self.steps.items()],
        }
