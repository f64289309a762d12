"""One notification, and one user's inbox, in memory, folded from their events."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from millrace.contracts import inbox as inbox_contract
from millrace.contracts import notification_events as contract
from millrace.contracts import template as template_contract
from millrace.contracts.notification_plan import Said
from millrace.contracts.wire import Fact

CONTENT = tuple(contract.NotificationCreated.model_fields)
HANDED_OVER = "handed-over"
LONG_AGO = datetime.fromtimestamp(0, UTC)


@dataclass(slots=True)
class Step:
    """One channel of a notification."""

    status: str
    address: str | None = None
    delivery_id: str | None = None
    due_at: datetime | None = None
    reason: str | None = None
    detail: str | None = None
    attempts: int = 0
    provider: str | None = None
    provider_message_id: str | None = None
    updated_at: datetime | None = None

    @property
    def pending(self) -> bool:
        return self.status in ("queued", "deferred")


@dataclass(slots=True)
class NotificationState:
    """A notification. `all_read_at` is when its user's whole inbox was last read."""

    id: str
    version: int = 0
    first_position: int = 0
    content: dict[str, Any] = field(default_factory=dict)
    steps: dict[str, Step] = field(default_factory=dict)
    timestamp: datetime = LONG_AGO
    read_at: datetime | None = None
    snoozed_until: datetime | None = None
    cancelled: bool = False
    removed: bool = False
    sent_at: dict[str, datetime] = field(default_factory=dict)
    inbox_read_at: datetime | None = None

    @property
    def shown(self) -> bool:
        """Whether the inbox shows it."""
        return self.content["in_inbox"] and not self.cancelled and not self.removed and self.snoozed_until is None

    @property
    def seen_at(self) -> datetime | None:
        """When it was read, with the whole inbox or by itself."""
        return self.inbox_read_at or self.read_at

    def apply(self, fact: Fact, at: datetime, position: int) -> None:
        self.version += 1
        match fact:
            case contract.NotificationCreated():
                self.content, self.timestamp = fact.model_dump(), at
                self.first_position = position
            case contract.NotificationQueued():
                self.steps[fact.channel] = Step("queued", fact.address, fact.delivery_id, at)
            case contract.NotificationDeferred():
                self.steps[fact.channel] = Step("deferred", fact.address, fact.delivery_id, fact.until, fact.reason)
            case contract.NotificationSuppressed():
                self._end(fact.channel, "suppressed", fact.reason, fact.detail)
            case contract.NotificationDelivered():
                self._end(fact.channel, "delivered")
            case contract.NotificationSent():
                step = self._end(fact.channel, "sent", None, fact.detail)
                step.attempts, step.provider = fact.attempt, fact.provider
                step.provider_message_id = fact.provider_message_id
                self.sent_at[fact.channel] = at
            case contract.NotificationHandedOver():
                step = self.steps[fact.channel]
                step.reason, step.due_at = HANDED_OVER, fact.until
            case contract.NotificationAttemptFailed():
                step = self.steps[fact.channel]
                step.status, step.reason, step.detail = "queued", "attempt-failed", fact.reason
                step.attempts, step.provider, step.due_at = fact.attempt, fact.provider, fact.retry_at
            case contract.NotificationFailed():
                step = self._end(fact.channel, "failed", fact.reason, fact.detail)
                step.attempts, step.provider = fact.attempt, fact.provider
            case contract.NotificationRead():
                self.read_at = at
            case contract.NotificationCancelled():
                self.cancelled = True
            case contract.NotificationSnoozed():
                self.snoozed_until = fact.until
            case contract.NotificationWoken():
                self.snoozed_until = self.read_at = self.inbox_read_at = None
            case contract.NotificationRemoved():
                self.removed = True
            case _:
                raise TypeError(f"{fact!r} is no event of a notification")
        step_of = self.steps.get(getattr(fact, "channel", ""))
        if step_of is not None:
            step_of.updated_at = at

    def _end(self, channel: str, status: str, reason: str | None = None, detail: str | None = None) -> Step:
        step = self.steps.setdefault(channel, Step(status))
        step.status, step.reason, step.detail, step.due_at = status, reason, detail, None
        return step

    def view(self) -> dict[str, Any]:
        """The notification as it is read."""
        seen = self.seen_at
        return self.to_wire() | {"id": self.id, "read_at": seen, "read": seen is not None}

    def to_wire(self) -> dict[str, Any]:
        return {
            **self.content,
            "timestamp": self.timestamp,
            "read": self.read_at is not None,
            "read_at": self.read_at,
            "snoozed_until": self.snoozed_until,
            "cancelled": self.cancelled,
            "removed": self.removed,
            "deliveries": [{"channel": channel, **asdict(step)} for channel, step in sorted(self.steps.items())],
        }


@dataclass(slots=True)
class InboxState:
    """What one user has said."""

    user_id: str
    version: int = 0
    preferences: dict[str, Any] = field(default_factory=dict)
    contacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    locale: str | None = None
    timezone: str | None = None

    def apply(self, fact: Fact, at: datetime, position: int) -> None:
        self.version += 1
        match fact:
            case inbox_contract.PreferencesSet():
                self.preferences = fact.model_dump(exclude={"user_id"})
            case inbox_contract.ContactsSet():
                self.contacts, self.locale, self.timezone = fact.contacts, fact.locale, fact.timezone
            case inbox_contract.AllRead():
                return
            case _:
                raise TypeError(f"{fact!r} is no event of an inbox")

    def said(self) -> Said:
        """For the plan of a notification."""
        return Said(self.preferences, self.contacts, self.locale, self.timezone)

    def to_wire(self) -> dict[str, Any]:
        return {
            "user_id": self.user_id,
            "preferences": self.preferences,
            "contacts": self.contacts,
            "locale": self.locale,
            "timezone": self.timezone,
        }


@dataclass(slots=True)
class TemplateState:
    """All versions of a template."""

    name: str
    version: int = 0
    versions: dict[int, dict[str, dict[str, Any]]] = field(default_factory=dict)
    removed: bool = False
    updated_at: datetime = LONG_AGO

    @property
    def newest(self) -> int:
        return max(self.versions, default=0)

    @property
    def locales(self) -> dict[str, dict[str, Any]]:
        """The texts of the newest version."""
        return self.versions.get(self.newest, {})

    def apply(self, fact: Fact, at: datetime, position: int) -> None:
        self.version += 1
        match fact:
            case template_contract.TemplateSaved():
                text = fact.model_dump(include={"title", "message", "html"})
                before = {} if self.removed else self.locales
                self.removed, self.updated_at = False, at
                self.versions[fact.version] = {**before, fact.locale: text}
            case template_contract.TemplateRemoved():
                self.removed = True
            case _:
                raise TypeError(f"{fact!r} is no event of a template")

    def to_wire(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "version": self.newest,
            "locales": self.locales,
            "removed": self.removed,
            "updated_at": self.updated_at,
        }
