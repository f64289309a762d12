"""An inbox that was read as a whole: each notification in it records so, for its history and for those who follow it.

The inbox's own event counts at once, on every device. What follows here tells nothing new to whoever counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime

from domain.deliveries import InboxReads
from domain.errors import Refusal
from domain.inbox import KIND, AllRead
from domain.notification import Notification
from domain.ports import RecordedEvent
from handlers.reactions import Reaction
from handlers.routes import CommandRoute, Decided, Moment
from millrace.contracts.wire import Identifier, Message

REACTION = "inbox"
COMMAND = "notification.read_with_inbox"
PAGE = 500
SHOWN_RETRY_SECONDS = 0.2


class ReadWithInbox(Message):
    """`notification.read_with_inbox`, from inside only: the user's whole inbox was read at that time."""

    notification_id: Identifier
    at: datetime


def read(notification: Notification, command: ReadWithInbox, at: Moment) -> Decided:
    notification.read_with_inbox(command.at, at.now)
    return Decided(notification, {"notification_id": at.id})


def reaction(reads: InboxReads, shown: Callable[[int], Awaitable[None]]) -> Reaction:
    """Names the notifications that were read.

    Args:
        shown: waits until the read model shows the effects of a position; raises a `Refusal` where that takes too long.
    """

    async def told(recorded: RecordedEvent) -> AsyncIterator[tuple[str, Message]]:
        event = recorded.event
        if not isinstance(event, AllRead):
            return
        await _until(shown, recorded.position)
        after = 0
        while page := await reads.read_at(recorded.stream.tenant, event.user_id, event.timestamp, after, PAGE):
            for id, _ in page:
                yield COMMAND, ReadWithInbox(notification_id=id, at=event.timestamp)
            after = page[-1][1]

    return Reaction(REACTION, told, kinds=frozenset({KIND}), beside=True)


def internal_routes() -> dict[str, CommandRoute]:
    """The command that only the reaction gives; repeating it changes nothing."""
    return {
        COMMAND: CommandRoute(
            ReadWithInbox, Notification, read, lambda command, _: str(command.notification_id), remembered=False,
            continues=True,
        )
    }  # fmt: skip


async def _until(shown: Callable[[int], Awaitable[None]], position: int) -> None:
    while True:
        try:
            await shown(position)
            return
        except Refusal:
            await asyncio.sleep(SHOWN_RETRY_SECONDS)
