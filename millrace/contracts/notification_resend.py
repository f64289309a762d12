"""Sending once more on the wire: one notification, or whatever has gone out through a channel since a time."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from millrace.contracts.job import Time
from millrace.contracts.notification import ChannelName, UserId
from millrace.contracts.wire import Fact, Identifier, Message


class Resend(Message):
    """`notification.resend`: once more through a channel in which it has ended, under the same delivery id.

    What is still to be sent stays as it is. The user's preferences are not asked again.
    """

    notification_id: Identifier
    channel: ChannelName


class ResendSince(Message):
    """`notification.resend_since`: whatever has gone out through a channel, or failed to, since then, once more.

    Attributes:
        since: by the time at which the channel was last heard of.
        user_id: only this user's.
        dry_run: only counts.
        limit: most notifications in this call; where there are more, the answer has a `cursor`.
        cursor: of the call before, to go on behind it; what is sent meanwhile is left alone.
    """

    channel: ChannelName
    since: Time
    user_id: UserId | None = None
    dry_run: bool = False
    limit: Annotated[int, Field(ge=1, le=10_000)] = 1_000
    cursor: str | None = Field(None, max_length=64)


class Resent(Fact):
    """Answer to `notification.resend_since`.

    Attributes:
        matched: notifications that fitted: all of them in a dry run, else those that this call has looked at.
        changed: of these, those that are sent once more.
        refused: of these, those that were removed or cancelled.
        cursor: to go on with where there are more.
    """

    matched: int
    changed: int = 0
    refused: int = 0
    cursor: str | None = None


COMMANDS: dict[str, type[Message]] = {
    "notification.resend": Resend,
    "notification.resend_since": ResendSince,
}
