"""What follows from a command to a notification or to an inbox: the events, or a refusal. The rules of the service."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, assert_never

from millrace.contracts import inbox as inbox_contract
from millrace.contracts import notification as contract
from millrace.contracts import notification_events as events
from millrace.contracts.notification_plan import Defer, Queue, Said, Show, Step, Suppress, channels_of, locale_of, plan
from millrace.contracts.notification_reports import Receipt, ReportDelivery
from millrace.contracts.notification_resend import Resend
from millrace.contracts.wire import Fact, derived_id
from millrace.testing.notification_state import InboxState, NotificationState
from millrace.testing.refusals import Refusal

MAX_ATTEMPTS = 8
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 5.0, 3_600.0


def send(
    stream: str,
    command: contract.Send,
    own: Said,
    default: Said,
    configured: Collection[str],
    now: datetime,
    written: Mapping[str, Any],
) -> list[Fact]:
    """Args:
    written: what a template says.
    """
    steps = plan(command, own, default, configured, now)
    content = {
        "user_id": command.user_id,
        "type": command.type.value,
        "title": command.title or "",
        "message": command.message,
        "category": command.category,
        "action_url": command.action_url,
        "action_label": command.action_label,
        "metadata": command.metadata,
        "channels": list(channels_of(command, own, default)),
        "critical": command.critical,
        "in_inbox": any(isinstance(step, Show) for step in steps.values()),
        "locale": locale_of(command, own, default),
        "throttle": None if command.throttle is None else command.throttle.model_dump(),
        "digest": None if command.digest is None else command.digest.model_dump(),
        "digest_of": [],
        **written,
    }
    created = events.NotificationCreated.model_validate(content)
    return [created, *(taken(stream, command.user_id, channel, step) for channel, step in steps.items())]


def taken(stream: str, user_id: str, channel: str, step: Step) -> Fact:
    """What is to be done in a channel, as an event."""
    match step:
        case Show():
            return events.NotificationDelivered(user_id=user_id, channel=channel)
        case Queue(address):
            return events.NotificationQueued(channel=channel, address=address, delivery_id=derived_id(stream, channel))
        case Defer(address, reason, until):
            delivery_id = derived_id(stream, channel)
            return events.NotificationDeferred(
                channel=channel, address=address, delivery_id=delivery_id, reason=reason, until=until
            )
        case Suppress(reason, detail):
            return events.NotificationSuppressed(channel=channel, reason=reason, detail=detail)
        case _:
            assert_never(step)


def read(notification: NotificationState, command: contract.MarkRead, now: datetime) -> list[Fact]:
    user_id = guard(notification, command.user_id)
    return [] if notification.read_at else [events.NotificationRead(user_id=user_id)]


def cancel(notification: NotificationState, command: contract.CancelNotification, now: datetime) -> list[Fact]:
    user_id = guard(notification, command.user_id)
    if notification.cancelled:
        return []
    pending = [channel for channel, step in notification.steps.items() if step.pending]
    if not pending and not notification.content["in_inbox"]:
        raise Refusal(
            "refused", "there is nothing to cancel: it has gone out through every channel, and no inbox shows it"
        )
    detail = command.reason or "it was cancelled"
    suppressed = [
        events.NotificationSuppressed(channel=channel, reason="cancelled", detail=detail) for channel in pending
    ]
    return [events.NotificationCancelled(user_id=user_id, reason=command.reason), *suppressed]


def snooze(notification: NotificationState, command: contract.SnoozeNotification, now: datetime) -> list[Fact]:
    user_id = guard(notification, command.user_id)
    if not notification.content["in_inbox"] or notification.cancelled:
        raise Refusal("refused", "the inbox does not show this notification, so it cannot be snoozed")
    until = command.until or now + timedelta(seconds=command.seconds or 0.0)
    return [] if notification.snoozed_until == until else [events.NotificationSnoozed(user_id=user_id, until=until)]


def receipt(notification: NotificationState, command: Receipt, now: datetime) -> list[Fact]:
    step = notification.steps.get(command.channel)
    known: list[Fact] = []
    if step is not None and step.status == "queued" and command.provider is not None:
        attempt, provider, message_id = step.attempts + 1, command.provider, command.provider_message_id
        known.append(
            events.NotificationSent(
                channel=command.channel, attempt=attempt, provider=provider, provider_message_id=message_id
            )
        )
        step = replace(step, status="sent", attempts=attempt, provider=provider, provider_message_id=message_id)
    if step is None or step.status not in ("sent", "delivered", "failed") or command.channel == contract.IN_APP:
        raise Refusal("refused", f"nothing was sent through {command.channel}")
    others = None not in (step.provider_message_id, command.provider_message_id)
    if command.provider not in (None, step.provider) or (
        others and step.provider_message_id != command.provider_message_id
    ):
        return known
    if command.status == "delivered" and step.status == "sent":
        return [*known, events.NotificationDelivered(user_id=notification.content["user_id"], channel=command.channel)]
    if step.status == "sent" or (command.status == "bounced" and step.status == "delivered"):
        reason = "bounced" if command.status == "bounced" else "undelivered"
        return [*known, _failed(command.channel, step.attempts, reason, command.reason, step.provider or "")]
    return known


def report(notification: NotificationState, command: ReportDelivery, now: datetime) -> list[Fact]:
    step = notification.steps.get(command.channel)
    if step is None or not step.pending or step.attempts != command.attempt - 1:
        return []
    if command.status == "sent":
        return [
            events.NotificationSent(
                channel=command.channel, attempt=command.attempt, provider=command.channel,
                provider_message_id=command.provider_message_id,
            )
        ]  # fmt: skip
    if command.status == "rejected":
        return [_failed(command.channel, command.attempt, "rejected", command.reason)]
    return [unavailable(command.channel, command.attempt, command.reason, command.retry_after or 0.0, now)]


def unavailable(channel: str, attempt: int, reason: str, retry_after: float, now: datetime) -> Fact:
    """What follows from an attempt that could not succeed now: another one, or the end."""
    if attempt >= MAX_ATTEMPTS:
        return _failed(channel, attempt, "attempts-exhausted", reason)
    wait = max(retry_after, min(FIRST_RETRY_SECONDS * 2.0 ** (attempt - 1), LONGEST_RETRY_SECONDS))
    return events.NotificationAttemptFailed(
        channel=channel, attempt=attempt, provider=channel, reason=reason, retry_at=now + timedelta(seconds=wait)
    )


def _failed(channel: str, attempt: int, reason: str, detail: str, provider: str | None = None) -> Fact:
    return events.NotificationFailed(
        channel=channel, attempt=attempt, provider=channel if provider is None else provider, reason=reason,
        detail=detail,
    )  # fmt: skip


def resend(notification: NotificationState, command: Resend, now: datetime) -> list[Fact]:
    guard(notification, None)
    step = notification.steps.get(command.channel)
    if step is None or step.address is None or step.delivery_id is None or notification.cancelled:
        raise Refusal("refused", f"nothing was sent through {command.channel}")
    if step.pending:
        return []
    return [events.NotificationQueued(channel=command.channel, address=step.address, delivery_id=step.delivery_id)]


def guard(notification: NotificationState, user_id: str | None) -> str:
    """The notification's user. Raises `Refusal` where it is not the one that is named, or it was removed."""
    own: str = notification.content["user_id"]
    if notification.removed or user_id not in (None, own):
        raise Refusal("not-found", "there is no such notification of this user")
    return own


def set_preferences(inbox: InboxState | None, command: inbox_contract.SetPreferences, now: datetime) -> list[Fact]:
    preferences = command.model_dump(mode="json", exclude={"user_id"})
    if inbox is not None and inbox.preferences == preferences:
        return []
    return [inbox_contract.PreferencesSet(user_id=command.user_id, **preferences)]


def set_contacts(inbox: InboxState | None, command: inbox_contract.SetContacts, now: datetime) -> list[Fact]:
    contacts = command.applied_to(inbox.contacts if inbox is not None else {})
    given = command.model_fields_set
    locale = command.locale if "locale" in given or inbox is None else inbox.locale
    timezone = command.timezone if "timezone" in given or inbox is None else inbox.timezone
    if inbox is not None and (contacts, locale, timezone) == (inbox.contacts, inbox.locale, inbox.timezone):
        return []
    return [inbox_contract.ContactsSet(user_id=command.user_id, contacts=contacts, locale=locale, timezone=timezone)]


def read_all(inbox: InboxState | None, command: contract.MarkAllRead, now: datetime) -> list[Fact]:
    return [inbox_contract.AllRead(user_id=command.user_id)]
