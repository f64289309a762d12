"""The commands about notifications that only the service gives itself: outcomes, digests, and what time brings."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, assert_never

from domain.notification import KIND, Notification
from domain.ports import StreamName
from handlers.routes import Beside, CommandRoute, Decided, Moment
from millrace.contracts.wire import Context, Identifier, Message, derived_id

Outcome = Literal["queued", "deferred", "suppressed", "sent", "handed-over", "retry", "failed"]
SHOWN_IN_DIGEST = 50
SHOWN_CHARACTERS = 300


class Settle(Message):
    """`notification.settle`: what became of one channel. What has ended meanwhile stays as it is.

    Attributes:
        attempt: the one that `sent`, `retry` and `failed` are about.
        until: when it is tried again, or for the first time.
    """

    notification_id: Identifier
    channel: str
    outcome: Outcome
    attempt: int = 0
    provider: str = ""
    provider_message_id: str | None = None
    reason: str = ""
    detail: str = ""
    until: datetime | None = None


class Collapse(Message):
    """`notification.collapse`: the oldest of several deferred ones gives way to a digest of all of them.

    Attributes:
        lines: one for each member, as the digest shows them.
    """

    notification_id: Identifier
    tenant: str
    channel: str
    members: tuple[str, ...]
    lines: tuple[str, ...]


class Wake(Message):
    """`notification.wake`: the snooze until that time is over."""

    notification_id: Identifier
    until: datetime


class Remove(Message):
    """`notification.remove`: it leaves the read models."""

    notification_id: Identifier
    reason: str


def settle(notification: Notification, command: Settle, at: Moment) -> Decided:
    channel, step = command.channel, notification.steps.get(command.channel)
    match command.outcome:
        case "queued":
            if step is not None and step.status == "deferred" and step.address and step.delivery_id:
                notification.queue(channel, step.address, step.delivery_id, at.now)
        case "deferred":
            if step is not None and step.address and step.delivery_id and command.until:
                notification.defer(channel, step.address, step.delivery_id, command.reason, command.until, at.now)
        case "suppressed":
            notification.suppress(channel, command.reason, command.detail, at.now)
        case "sent":
            notification.sent(
                channel, command.attempt, command.provider, command.provider_message_id, at.now, command.detail or None
            )
        case "handed-over":
            notification.hand_over(channel, command.attempt, command.until or at.now, at.now)
        case "retry":
            notification.fail_attempt(
                channel, command.attempt, command.provider, command.detail, command.until or at.now, at.now
            )
        case "failed":
            notification.fail(channel, command.attempt, command.provider, command.reason, command.detail, at.now)
        case _:
            assert_never(command.outcome)
    return _told(notification, at)


def collapse(notification: Notification, command: Collapse, at: Moment) -> Decided:
    """The digest is stored with the event that the oldest member gives way, or neither is; the other members follow."""
    channel, step = command.channel, notification.steps.get(command.channel)
    if step is None or step.status != "deferred" or step.address is None:
        return _told(notification, at)
    digest_id = digest_of(at.stream, channel)
    notification.suppress(channel, "digested", f"it is part of digest {digest_id}", at.now)
    stream = StreamName(KIND, command.tenant, digest_id)
    digest = Notification.create(stream.text, at.now, _digest_content(notification, command))
    digest.queue(channel, step.address, derived_id(stream.text, channel), at.now)
    return _told(notification, at)._replace(beside=Beside(stream, digest))


def digest_of(stream: str, channel: str) -> str:
    """The id of the digest whose oldest member has that stream."""
    return derived_id(stream, f"digest/{channel}")


def line_of(notification: Notification) -> str:
    """How a digest shows a notification."""
    text = f"{notification.title}: {notification.message}" if notification.message else notification.title
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def _digest_content(first: Notification, command: Collapse) -> dict[str, Any]:
    count = len(command.members)
    lines = [f"• {line}" for line in command.lines[:SHOWN_IN_DIGEST]]
    if count > SHOWN_IN_DIGEST:
        lines.append(f"… and {count - SHOWN_IN_DIGEST} more")
    return {
        "user_id": first.user_id, "type": "info", "title": f"{count} notifications", "message": "\n".join(lines),
        "html": None, "category": None, "action_url": None, "action_label": None, "metadata": {},
        "channels": [command.channel], "critical": False, "in_inbox": False, "locale": first.locale, "template": None,
        "throttle": None, "digest": None, "digest_of": list(command.members),
    }  # fmt: skip


def wake(notification: Notification, command: Wake, at: Moment) -> Decided:
    notification.wake(command.until, at.now)
    return _told(notification, at)


def remove(notification: Notification, command: Remove, at: Moment) -> Decided:
    notification.remove(command.reason, at.now)
    return _told(notification, at)


def _told(notification: Notification, at: Moment) -> Decided:
    return Decided(notification, {"notification_id": at.id})


def _named(command: Any, _: Context) -> str:
    return str(command.notification_id)


def internal_routes() -> dict[str, CommandRoute]:
    """Repeating any of them changes nothing."""

    def route(model: type[Message], decide: Any) -> CommandRoute:
        return CommandRoute(model, Notification, decide, _named, remembered=False, continues=True)

    return {
        "notification.settle": route(Settle, settle),
        "notification.collapse": route(Collapse, collapse),
        "notification.wake": route(Wake, wake),
        "notification.remove": route(Remove, remove),
    }
