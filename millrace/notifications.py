"""`app.notifications`: telling users something, and what they see of it."""

from __future__ import annotations

import builtins
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from millrace.contracts.notification import ChannelDelivery, Notification, NotificationChannel
from millrace.errors import MillraceError, NotFound, PartlyRefused
from millrace.link import Answer
from millrace.notification_channels import MAX_ATTEMPTS, PATTERN, ChannelSender, HandedOver, Sender
from millrace.notification_link import without_none
from millrace.notification_plugins import NotificationHooks
from millrace.notification_preferences import UserPreferences
from millrace.notification_subscription import Callback, InboxSubscription
from millrace.templates import Templates

if TYPE_CHECKING:
    from millrace.client import Millrace

GIVEN = (
    "type", "title", "message", "user_id", "category", "action_url", "action_label", "metadata", "channels",
    "critical", "locale",
)  # fmt: skip
# The methods below include one called `list`.
Sent = list[Notification]


@dataclass(frozen=True, slots=True)
class NotificationPage:
    """Some notifications, newest first, and the cursor of the next page, if there is one."""

    notifications: Sent
    cursor: str | None


class Notifications(UserPreferences, NotificationHooks):
    """Sends notifications, reads inboxes, and keeps what users have said about both.

    What this object has sent or changed, it sees when it reads.

    Attributes:
        templates: named texts that notifications are made from.
    """

    def __init__(self, app: Millrace) -> None:
        self._app = app
        self.templates = Templates(app)
        self._seen: str | None = None
        self.plugin_failures: Counter[str] = Counter()

    async def send(
        self,
        notification: Notification | Mapping[str, Any] | None = None,
        *,
        message_id: str | None = None,
        **given: Any,
    ) -> Notification:
        """Tells a user something, through the given channels, those of the user's preferences, or the inbox.

        Takes a `Notification`, a mapping, or keywords: `user_id, type, title, message, category, action_url,
        action_label, metadata, channels`, and besides `critical` (goes out whatever preferences and quiet hours say),
        `recipient` (address, or addresses by channel), `template`, `context`, `locale`, `throttle`, `digest`.

        Args:
            message_id: repeating it sends nothing twice.

        Returns:
            The notification with its id; `deliveries` says what is done in each channel, and why nothing is or not
            before `due_at`; not yet what came of it.

        Raises:
            Invalid: a field is missing or not acceptable, or the template lacks a variable.
        """
        body = _body(notification, given)
        answer = self._noted(await self._app.link.execute("notification.send", body, message_id=message_id))
        return _accepted(body, answer)

    async def send_bulk(self, notifications: Iterable[Notification | Mapping[str, Any]]) -> Sent:
        """Sends many in few messages. Not a transaction: each is accepted or refused for itself.

        Raises:
            PartlyRefused: some were not accepted; it has the outcome of each.
        """
        bodies = [_body(each, {}) for each in notifications]
        outcomes: builtins.list[Notification | MillraceError] = [
            _accepted(body, self._noted(outcome)) if isinstance(outcome, Answer) else outcome
            for body, outcome in zip(
                bodies, await self._app.link.execute_many("notification.send", bodies), strict=True
            )
        ]
        accepted = [outcome for outcome in outcomes if isinstance(outcome, Notification)]
        if len(accepted) < len(outcomes):
            raise PartlyRefused(outcomes)
        return accepted

    async def send_notification(
        self, channel: str, recipient: str, template: str, context: Mapping[str, Any] | None = None, **given: Any
    ) -> Notification:
        """Sends a template to one address through one channel; `user_id` is the address unless it is given."""
        body = {"user_id": recipient, "channels": [channel], "recipient": recipient, **given}
        return await self.send(**body, template=template, context=dict(context or {}))

    async def get(self, notification_id: str, user_id: str | None = None) -> Notification | None:
        """The notification with what became of it in each channel, or None where there is none of this user."""
        body = without_none(notification_id=notification_id, user_id=user_id)
        try:
            answer = await self._query("notification.get", body)
        except NotFound:
            return None
        return Notification.model_validate(answer["notification"])

    async def page(
        self,
        user_id: str | None = None,
        *,
        unread_only: bool = False,
        type: str | None = None,
        category: str | None = None,
        scope: str | None = None,
        status: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> NotificationPage:
        """One page of what a user's inbox shows, newest first.

        Args:
            user_id: None means everybody.
            scope: `all` has whatever was sent, through any channel, read, snoozed and cancelled ones included.
            status: in the scope `all`, notifications of which some channel has come to this.
            cursor: that of the page before.
        """
        body = without_none(
            user_id=user_id, unread_only=unread_only or None, type=type, category=category, scope=scope, status=status,
            limit=limit, cursor=cursor,
        )  # fmt: skip
        answer = await self._query("notification.list", body)
        found = [Notification.model_validate(each) for each in answer["notifications"]]
        return NotificationPage(found, answer.get("cursor"))

    async def list(self, user_id: str | None = None, **filters: Any) -> Sent:
        """The notifications of one page; takes what `page` takes."""
        return (await self.page(user_id, **filters)).notifications

    async def get_user_notifications(
        self, user_id: str, unread_only: bool = False, limit: int = 50, filters: Mapping[str, Any] | None = None
    ) -> Sent:
        """What the user's inbox shows, newest first; `filters` are further ones of `page`."""
        return await self.list(user_id, **{"unread_only": unread_only, "limit": limit, **(filters or {})})

    async def iterate(self, user_id: str | None = None, **filters: Any) -> AsyncIterator[Notification]:
        """All notifications that `page`'s filters leave, page after page."""
        cursor: str | None = filters.pop("cursor", None)
        while True:
            page = await self.page(user_id, **filters, cursor=cursor)
            for notification in page.notifications:
                yield notification
            cursor = page.cursor
            if cursor is None:
                return

    async def unread_count(self, user_id: str) -> int:
        """How many unread notifications the user's inbox shows."""
        return int((await self._query("notification.unread_count", {"user_id": user_id}))["unread"])

    async def mark_as_read(self, notification_id: str, user_id: str | None = None) -> None:
        """Marks one as read; a second time changes nothing.

        Raises:
            NotFound: there is no such notification, or it is not that user's.
        """
        await self._execute("mark_read", notification_id=notification_id, user_id=user_id)

    async def mark_all_as_read(self, user_id: str) -> None:
        """Marks everything that the user's inbox shows as read."""
        await self._execute("mark_all_read", user_id=user_id)

    async def cancel(self, notification_id: str, user_id: str | None = None, reason: str | None = None) -> None:
        """Keeps what has not gone out from going out, and takes it out of the inbox.

        Raises:
            NotFound: there is no such notification, or it is not that user's.
            Refused: it has gone out, and no inbox shows it.
        """
        await self._execute("cancel", notification_id=notification_id, user_id=user_id, reason=reason)

    async def snooze(
        self,
        notification_id: str,
        user_id: str | None = None,
        *,
        until: datetime | None = None,
        seconds: float | None = None,
    ) -> None:
        """Hides it in the inbox until then; it comes back as unread.

        Raises:
            Invalid: neither `until`, with its zone, nor `seconds` is given, or both.
            NotFound: there is no such notification, or it is not that user's.
            Refused: the inbox does not show it.
        """
        await self._execute(
            "snooze", notification_id=notification_id, user_id=user_id, seconds=seconds,
            until=None if until is None else until.isoformat(),
        )  # fmt: skip

    async def resend(self, notification_id: str, channel: str) -> None:
        """Has it sent once more through a channel, under the delivery id that it had, so that receivers can tell.

        Raises:
            NotFound: there is no such notification.
            Refused: nothing was to be sent through the channel.
        """
        await self._execute("resend", notification_id=notification_id, channel=channel)

    async def resend_since(
        self, channel: str, since: datetime, *, user_id: str | None = None, dry_run: bool = False
    ) -> int:
        """Has everything sent once more that has gone out through a channel, or failed to, since then; how many.

        Args:
            since: by the time at which the channel was last heard of; with its zone.
            dry_run: only counts.
        """
        body = {"channel": channel, "since": since.isoformat(), "user_id": user_id, "dry_run": dry_run or None}
        count, cursor = 0, None
        while True:
            # What this object has sent is among what the service finds: its read model is waited for there.
            answer = await self._app.link.execute("notification.resend_since", without_none(**body, cursor=cursor))
            count += int(answer.result["matched" if dry_run else "changed"])
            cursor = answer.result.get("cursor")
            if cursor is None:
                return count

    def subscribe(self, user_id: str, callback: Callback, after: str = "head") -> InboxSubscription:
        """Calls `callback(notification)` for whatever comes into the user's inbox, in order, each once.

        Calling what is returned ends it. Its `position`, given as `after`, goes on exactly behind what was seen, after
        a restart or on another device; `await` it to be sure that it has begun.

        Raises:
            RuntimeError: there is no running event loop.
        """
        return InboxSubscription(self._app, user_id, callback, after)

    def register_channel(self, name: str, sender: Sender | ChannelSender) -> None:
        """Adds a channel of the application's own: a worker calls `sender(outgoing)` for each delivery through it.

        Also one of those that the service knows, such as `email`, where the service has no provider for it; where it
        has one, that one sends.

        What the sender returns is the provider's name for the message. `NonRetryable` ends the channel as failed;
        `RetryAfter` and any other error have it tried again, after growing waits. At least once, as everything that
        goes out: `outgoing.delivery_id` stays the same.

        Raises:
            ValueError: another sender has the name, or it is the inbox, which the service has itself.
        """
        if name in (NotificationChannel.IN_APP, "in_app"):
            raise ValueError(f"{name!r} is a channel of the service itself; nobody has to send anything there")
        self._app.on(PATTERN, name=f"channel:{name}", max_attempts=MAX_ATTEMPTS)(HandedOver(self._app, name, sender))


def _body(notification: Notification | Mapping[str, Any] | None, given: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(notification, Notification):
        notification = {
            name: value
            for name, value in notification.model_dump(mode="json", include=set(GIVEN), exclude_none=True).items()
            if value not in ("", [], {})
        }
    return {**(notification or {}), **given}


def _accepted(body: Mapping[str, Any], answer: Answer) -> Notification:
    known = {name: body[name] for name in GIVEN if body.get(name) is not None}
    # Services of an earlier release do not say why.
    why = answer.result.get("held_back", {})
    deliveries = [
        ChannelDelivery(channel=channel, status=status, **why.get(channel, {}))
        for channel, status in answer.result["deliveries"].items()
    ]
    return Notification.model_validate({**known, "id": answer.result["notification_id"], "deliveries": deliveries})
