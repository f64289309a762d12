"""`/ws/notifications?user_id=`: a user's unread notifications, then whatever changes the inbox on any device."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import assert_never

from pydantic import TypeAdapter, ValidationError

from adapters.http.call import time_ordered_id
from adapters.http.live_handshake import Asking, LiveFeeds
from adapters.http.live_session import Session
from adapters.http.live_topical import InboxFormat
from adapters.http.problems import forbidden, malformed
from handlers.live_topics import Topic
from millrace.contracts import feed as contract
from millrace.contracts.wire import Accepted, Identifier, Refused

PATTERN = "notification.#"
MOST_UNREAD = 100
USER_ID: TypeAdapter[str] = TypeAdapter(Identifier)
UNREAD = "notifications.unread"


def check_user(asking: Asking) -> None:
    """Raises `HttpProblem`: 400 where it is not said whose notifications are meant, 403 where they are another's."""
    try:
        USER_ID.validate_python(asking.query.get("user_id"))
    except ValidationError:
        raise malformed(
            "the parameter user_id says whose notifications are meant: 1 to 128 characters, no control characters"
        ) from None
    if not asking.may_see(asking.query["user_id"]):
        raise forbidden("the ticket is for another user's notifications")


class LiveNotifications:
    """Serves `/ws/notifications`."""

    def __init__(self, feeds: LiveFeeds) -> None:
        self._feeds = feeds
        self._format = InboxFormat()

    async def __call__(self, session: Session, asking: Asking) -> None:
        user_id = asking.query["user_id"]

        async def handle(asked: contract.ReadNotification | contract.AskUnread | contract.Ping) -> None:
            match asked:
                case contract.ReadNotification():
                    await self._mark(session, user_id, asked)
                case contract.AskUnread():
                    # Not older than what this connection has been told.
                    position = session.hub.token_of(session.hub.position)
                    await _tell(session, user_id, await self._unread(session, user_id, position), asked.id)
                case contract.Ping():
                    await session.tell("pong", id=asked.id)
                case _:
                    assert_never(asked)

        topic = Topic(session.context.tenant, self._format, PATTERN, user_id=user_id)
        await session.follow(topic, self._frames(session, topic, asking.query.get("after")))
        await session.run(contract.NOTIFICATIONS, handle)

    async def _frames(self, session: Session, topic: Topic, after: str | None) -> AsyncGenerator[bytes, None]:
        if after is None:
            page = await session.head(topic)
            if isinstance(page, Refused):
                yield self._format.refusal(topic, page.problem)
                return
            after = position = str(page.result["position"])
            user_id = str(topic.user_id)
            await _tell(session, user_id, await session.answer(topic, lambda: self._unread(session, user_id, position)))
        async with aclosing(session.feed(topic, after).frames()) as frames:
            async for chunk in frames:
                yield chunk

    async def _unread(self, session: Session, user_id: str, position: str) -> Accepted | Refused:
        """The newest unread notifications, and how many there are, at the position or later."""
        wanted = {"user_id": user_id, "unread_only": True, "limit": MOST_UNREAD}
        query, context = self._feeds.gateway.query, session.context
        listed = await query("notification.list", wanted, context, position)
        if isinstance(listed, Refused):
            return listed
        counted = await query("notification.unread_count", {"user_id": user_id}, context, position)
        if isinstance(counted, Refused):
            return counted
        return Accepted({**counted.result, "notifications": listed.result["notifications"]})

    async def _mark(self, session: Session, user_id: str, asked: contract.ReadNotification) -> None:
        body = {"user_id": user_id}
        name = "notification.mark_all_read"
        if asked.notification_id is not None:
            body["notification_id"] = asked.notification_id
            name = "notification.mark_read"
        context = session.context._replace(message_id=time_ordered_id())
        reply = await self._feeds.gateway.execute(name, body, context)
        match reply:
            case Refused():
                await session.refuse(reply.problem, asked.id)
            case Accepted():
                await session.tell("marked", {**reply.result, "position": reply.position}, asked.id)
            case _:
                raise TypeError(f"{name} answered one body with a batch")


async def _tell(session: Session, user_id: str, unread: Accepted | Refused, id: str | None = None) -> None:
    if isinstance(unread, Refused):
        await session.refuse(unread.problem, id)
    else:
        await session.tell(UNREAD, unread.result, id, user_id=user_id)
