"""Notifications: the commands that callers give. What goes out is the deliverer's business."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, assert_never, cast

from domain.aggregate import Aggregate
from domain.inbox import KIND as INBOX
from domain.inbox import Inbox
from domain.notification import Notification
from domain.ports import StreamName
from domain.retry import given_up, retry_delay
from domain.subscription import KIND as SUBSCRIPTION
from domain.subscription import Subscription
from domain.template import KIND as TEMPLATE
from domain.template import Template
from handlers.inbox import said_by
from handlers.routes import CommandRoute, Decided, Moment
from handlers.template import Folder, filled, stored_template
from millrace.contracts import notification as contract
from millrace.contracts.job import Retry
from millrace.contracts.notification_plan import (
    BUILT_IN,
    Defer,
    Queue,
    Said,
    Show,
    Step,
    Suppress,
    channels_of,
    locale_of,
    plan,
)
from millrace.contracts.notification_reports import Receipt, ReportDelivery
from millrace.contracts.notification_resend import Resend
from millrace.contracts.wire import Context, derived_id

# How an application's subscription is called that sends through a channel.
OF_APPLICATION = "channel:"


def usual_retry() -> Retry:
    """How long a delivery that failed waits: 5 s, doubling up to an hour."""
    return Retry(delay=5.0)


@dataclass(frozen=True)
class NotificationPolicy:
    """How the service sends.

    Attributes:
        channels: what it can send through.
        timeout: seconds that one attempt may take.
        at_once: attempts at the same time, for each channel.
        folder: templates besides the stored ones, by name.
    """

    channels: frozenset[str] = frozenset({contract.IN_APP})
    max_attempts: int = 8
    retry: Retry = field(default_factory=usual_retry)
    timeout: float = 30.0
    at_once: int = 16
    folder: Folder = field(default_factory=dict)


def send(policy: NotificationPolicy, notification: Notification | None, command: contract.Send, at: Moment) -> Decided:
    if notification is None:
        own, default = said_about(command.user_id, at)
        steps = plan(command, own, default, policy.channels | _of_applications(at), at.now)
        content = content_of(command, steps, own, default)
        if command.template is not None:
            content |= _written(policy, command, content["locale"], at)
        notification = Notification.create(at.stream, at.now, content)
        for channel, step in steps.items():
            take(notification, channel, step, at)
    return Decided(notification, contract.sent_answer(at.id, notification.steps))


def take(notification: Notification, channel: str, step: Step, at: Moment) -> None:
    """Records what is to be done in a channel."""
    match step:
        case Show():
            notification.show(at.now)
        case Queue(address):
            notification.queue(channel, address, derived_id(at.stream, channel), at.now)
        case Defer(address, reason, until):
            notification.defer(channel, address, derived_id(at.stream, channel), reason, until, at.now)
        case Suppress(reason, detail):
            notification.suppress(channel, reason, detail, at.now)
        case _:
            assert_never(step)


def content_of(command: contract.Send, steps: Mapping[str, Step], own: Said, default: Said) -> dict[str, Any]:
    """What the notification says, as its first event has it."""
    return {
        "user_id": command.user_id,
        "type": command.type.value,
        "title": command.title or "",
        "message": command.message,
        "html": None,
        "category": command.category,
        "action_url": command.action_url,
        "action_label": command.action_label,
        "metadata": command.metadata,
        "channels": list(channels_of(command, own, default)),
        "critical": command.critical,
        "in_inbox": any(isinstance(step, Show) for step in steps.values()),
        "locale": locale_of(command, own, default),
        "template": None,
        "throttle": None if command.throttle is None else command.throttle.model_dump(),
        "digest": None if command.digest is None else command.digest.model_dump(),
        "digest_of": [],
    }


def _written(policy: NotificationPolicy, command: contract.Send, locale: str | None, at: Moment) -> dict[str, Any]:
    """What the template says; a title or a message of the command's own goes before it."""
    assert command.template is not None
    context = {"user_id": command.user_id, "category": command.category, **command.context}
    text, used = filled(command.template, stored_template(at, command.template), policy.folder, locale, context)
    return {
        "title": command.title or text.title,
        "message": command.message or text.message,
        "html": text.html,
        "template": used,
    }


def said_about(user_id: str, at: Moment) -> tuple[Said, Said]:
    """What the user and the tenant have said."""
    own, default = at.read.get((INBOX, user_id)), at.read.get((INBOX, contract.DEFAULTS_USER))
    return said_by(cast("Inbox | None", own)), said_by(cast("Inbox | None", default))


def _of_applications(at: Moment) -> frozenset[str]:
    """Channels that the service has nobody to send through, while an application has."""
    return frozenset(id.removeprefix(OF_APPLICATION) for kind, id in at.read if kind == SUBSCRIPTION)


def inboxes_of(user_id: str, tenant: str) -> dict[StreamName, type[Aggregate]]:
    """The inboxes that say how a user is to be told."""
    return {StreamName(INBOX, tenant, id): Inbox for id in (user_id, contract.DEFAULTS_USER)}


def mark_read(notification: Notification, command: contract.MarkRead, at: Moment) -> Decided:
    notification.read(command.user_id, at.now)
    return _told(notification, at)


def cancel(notification: Notification, command: contract.CancelNotification, at: Moment) -> Decided:
    notification.cancel(command.user_id, command.reason, at.now)
    return _told(notification, at)


def snooze(notification: Notification, command: contract.SnoozeNotification, at: Moment) -> Decided:
    until = command.until or at.now + timedelta(seconds=command.seconds or 0.0)
    notification.snooze(command.user_id, until, at.now)
    return _told(notification, at)


def resend(notification: Notification, command: Resend, at: Moment) -> Decided:
    notification.resend(command.channel, at.now)
    return _told(notification, at)


def receipt(notification: Notification, command: Receipt, at: Moment) -> Decided:
    notification.acknowledge(
        command.channel, command.status, command.reason, at.now,
        provider=command.provider, provider_message_id=command.provider_message_id,
    )  # fmt: skip
    return _told(notification, at)


def report(policy: NotificationPolicy, notification: Notification, command: ReportDelivery, at: Moment) -> Decided:
    """What an application's own channel has made of an attempt; a report about another attempt is no news."""
    channel, attempt = command.channel, command.attempt
    match command.status:
        case "sent":
            notification.sent(channel, attempt, channel, command.provider_message_id, at.now)
        case "rejected":
            notification.fail(channel, attempt, channel, "rejected", command.reason, at.now)
        case "unavailable":
            retry = policy.retry.model_dump()
            if given_up(retry, attempt, policy.max_attempts) is not None:
                notification.fail(channel, attempt, channel, "attempts-exhausted", command.reason, at.now)
            else:
                wait = max(command.retry_after or 0.0, retry_delay(retry, attempt, at.stream))
                until = at.now + timedelta(seconds=wait)
                notification.fail_attempt(channel, attempt, channel, command.reason, until, at.now)
        case _:
            assert_never(command.status)
    return _told(notification, at)


def _told(notification: Notification, at: Moment) -> Decided:
    return Decided(notification, {"notification_id": at.id, "success": True})


def _named(command: Any, _: Context) -> str:
    return str(command.notification_id)


def _derived(_: Any, context: Context) -> str:
    return derived_id(context.tenant, context.message_id, context.principal)


def _beside(policy: NotificationPolicy, command: contract.Send, context: Context) -> dict[StreamName, type[Aggregate]]:
    wanted = inboxes_of(command.user_id, context.tenant)
    for channel in BUILT_IN.intersection(command.channels or BUILT_IN) - policy.channels - {contract.IN_APP}:
        wanted[StreamName(SUBSCRIPTION, context.tenant, f"{OF_APPLICATION}{channel}")] = Subscription
    if command.template is not None:
        wanted[StreamName(TEMPLATE, context.tenant, command.template)] = Template
    return wanted


def command_routes(policy: NotificationPolicy) -> dict[str, CommandRoute]:
    """Commands that a notification decides."""
    return {
        "notification.send": CommandRoute(
            contract.Send,
            Notification,
            partial(send, policy),
            _derived,
            creates=True,
            required=False,
            reads=partial(_beside, policy),
        ),
        "notification.mark_read": CommandRoute(contract.MarkRead, Notification, mark_read, _named),
        "notification.cancel": CommandRoute(contract.CancelNotification, Notification, cancel, _named),
        "notification.snooze": CommandRoute(contract.SnoozeNotification, Notification, snooze, _named),
        "notification.receipt": CommandRoute(Receipt, Notification, receipt, _named),
        "notification.report": CommandRoute(ReportDelivery, Notification, partial(report, policy), _named),
        "notification.resend": CommandRoute(Resend, Notification, resend, _named),
    }
