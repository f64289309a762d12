"""The commands about notifications that only the service gives itself: outcomes, digests, and what time brings."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any, Literal, assert_never

from domain.aggregate import Aggregate
from domain.notification import KIND, Notification
from domain.notification_errors import TemplateUnfilled, UnknownTemplate
from domain.ports import StreamName
from domain.template import KIND as TEMPLATE
from domain.template import Template
from handlers.routes import Beside, CommandRoute, Decided, Moment
from handlers.template import Folder, filled, stored_template
from millrace.contracts import digest_text
from millrace.contracts.rendering import Text, render
from millrace.contracts.wire import Context, Identifier, Message, derived_id

Outcome = Literal["queued", "deferred", "suppressed", "sent", "handed-over", "retry", "failed"]


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
        shown: what the digest knows of the oldest members.
    """

    notification_id: Identifier
    tenant: str
    channel: str
    members: tuple[str, ...]
    shown: tuple[dict[str, Any], ...]


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


def collapse(folder: Folder, notification: Notification, command: Collapse, at: Moment) -> Decided:
    """The digest is stored with the event that the oldest member gives way, or neither is; the other members follow."""
    channel, step = command.channel, notification.steps.get(command.channel)
    digest_id = digest_of(at.stream, channel)
    if step is None or step.status != "deferred" or step.address is None:
        # Repeated it tells of the digest that there is; without one, as after a cancellation, the others wait on.
        made = step is not None and step.detail == member_of(digest_id)
        return Decided(notification, {"notification_id": at.id, "digest_id": digest_id if made else None})
    notification.suppress(channel, "digested", member_of(digest_id), at.now)
    stream = StreamName(KIND, command.tenant, digest_id)
    text, template, problem = _digest_text(folder, notification, command, at)
    content = _digest_content(notification, command, text, template, problem)
    digest = Notification.create(stream.text, at.now, content)
    digest.queue(channel, step.address, derived_id(stream.text, channel), at.now)
    answer = {"notification_id": at.id, "digest_id": digest_id}
    return Decided(notification, answer)._replace(beside=Beside(stream, digest))


def member_of(digest_id: str) -> str:
    """What is said of a notification that a digest has taken in."""
    return f"it is part of digest {digest_id}"


def digest_of(stream: str, channel: str) -> str:
    """The id of the digest whose oldest member has that stream."""
    return derived_id(stream, f"digest/{channel}")


def _digest_content(
    first: Notification, command: Collapse, text: Text, template: dict[str, Any], problem: str | None
) -> dict[str, Any]:
    return {
        "user_id": first.user_id, "type": "info", "title": text.title, "message": text.message, "html": text.html,
        "category": None, "action_url": None, "action_label": None,
        "metadata": {} if problem is None else {"template_problem": problem}, "channels": [command.channel],
        "critical": False, "in_inbox": False, "locale": first.locale, "template": template, "throttle": None,
        "digest": None, "digest_of": list(command.members),
    }  # fmt: skip


def _digest_text(
    folder: Folder, first: Notification, command: Collapse, at: Moment
) -> tuple[Text, dict[str, Any], str | None]:
    """The text, the template that it is from, and why that is not the tenant's own where it should have been."""
    context = digest_text.variables(first.user_id, command.channel, len(command.members), command.shown)
    stored, problem = stored_template(at, digest_text.TEMPLATE), None
    if digest_text.TEMPLATE in folder or (stored is not None and not stored.removed):
        try:
            return *filled(digest_text.TEMPLATE, stored, folder, first.locale, context), None
        except (UnknownTemplate, TemplateUnfilled) as error:
            # What was held back must go out all the same.
            problem = str(error)
    used = {"name": digest_text.TEMPLATE, "version": digest_text.BUILT_IN_VERSION, "locale": None}
    return render(digest_text.BUILT_IN, context), used, problem


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


def _digest_template(_: Any, context: Context) -> dict[StreamName, type[Aggregate]]:
    return {StreamName(TEMPLATE, context.tenant, digest_text.TEMPLATE): Template}


def internal_routes(folder: Folder) -> dict[str, CommandRoute]:
    """Repeating any of them changes nothing.

    Args:
        folder: templates besides the stored ones.
    """

    def route(model: type[Message], decide: Any, reads: Any = None) -> CommandRoute:
        return CommandRoute(model, Notification, decide, _named, remembered=False, continues=True, reads=reads)

    return {
        "notification.settle": route(Settle, settle),
        "notification.collapse": route(Collapse, partial(collapse, folder), _digest_template),
        "notification.wake": route(Wake, wake),
        "notification.remove": route(Remove, remove),
    }
