"""`/ws/{client_id}`: any events by pattern, from any position, and who else is connected."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import assert_never

from adapters.http.live_formats import SocketFormat, named
from adapters.http.live_handshake import Asking, LiveFeeds
from adapters.http.live_session import Session
from adapters.http.problems import malformed, problem
from adapters.http.respond import encode
from adapters.http.websocket_protocol import text_frame
from domain.ports import StoreUnavailable
from domain.presence import Present
from handlers.live_topics import Topic
from handlers.presence import Change
from millrace.contracts import feed as contract

CLIENT_ID = re.compile(r"[A-Za-z0-9_.:@-]{1,128}")
MOST_CHANGES = 1_000


def check_client(asking: Asking) -> None:
    """Raises `HttpProblem` 400 where the client's name has other characters than it may."""
    if not CLIENT_ID.fullmatch(asking.path["client_id"]):
        raise malformed("the client id must match [A-Za-z0-9_.:@-]{1,128}")


class LiveEvents:
    """Serves `/ws/{client_id}`."""

    def __init__(self, feeds: LiveFeeds) -> None:
        self._feeds = feeds
        self._format = SocketFormat()

    async def __call__(self, session: Session, asking: Asking) -> None:
        conversation = _Conversation(session, self._feeds, self._format, asking)
        connection = self._feeds.presence.join(session.context.tenant, asking.path["client_id"])
        try:
            await session.run(contract.LIVE, conversation.handle)
        finally:
            conversation.unwatch()
            self._feeds.presence.leave(connection)


class _Conversation:
    """What one connection asks for."""

    def __init__(self, session: Session, feeds: LiveFeeds, format: SocketFormat, asking: Asking) -> None:
        self._session, self._feeds, self._format, self._asking = session, feeds, format, asking
        self._tenant = session.context.tenant
        self._changes: asyncio.Queue[tuple[Change, Present]] = asyncio.Queue(MOST_CHANGES)

    async def handle(self, asked: contract.Follow | contract.Unfollow | contract.AskPresence | contract.Ping) -> None:
        match asked:
            case contract.Follow():
                await self._follow(asked)
            case contract.Unfollow():
                topic = self._topic(asked)
                known = await self._session.unfollow(topic)
                if known:
                    await self._session.tell("unsubscribed", id=asked.id, **named(topic))
                else:
                    await self._session.refuse(problem(404, "there is no such subscription"), asked.id)
            case contract.AskPresence():
                await self._tell_presence(asked)
            case contract.Ping():
                await self._session.tell("pong", id=asked.id)
            case _:
                assert_never(asked)

    def unwatch(self) -> None:
        """Is told of nobody any more."""
        self._feeds.presence.unwatch(self._tenant, self._hear)

    def _topic(self, asked: contract.Follow | contract.Unfollow) -> Topic:
        return Topic(self._tenant, self._format, asked.pattern, asked.subject, asked.user_id)

    async def _follow(self, asked: contract.Follow) -> None:
        topic = self._topic(asked)
        progress_id = asked.subject if asked.pattern.startswith("progress.") else None
        if not self._asking.may_see(asked.user_id, progress_id):
            await self._session.refuse(problem(403, "the ticket is for less than that"), asked.id)
            return
        if not self._session.may_follow(topic):
            await self._session.refuse(problem(429, "the connection has as many subscriptions as it may"), asked.id)
            return
        await self._session.unfollow(topic)
        await self._session.tell("subscribed", id=asked.id, **named(topic))
        await self._session.follow(topic, self._session.feed(topic, asked.after).frames())

    async def _tell_presence(self, asked: contract.AskPresence) -> None:
        if not self._asking.may_see():
            await self._session.refuse(problem(403, "the ticket is for less than that"), asked.id)
            return
        self.unwatch()
        await self._session.unfollow("presence")
        try:
            if asked.watch:
                present = await self._feeds.presence.watch(self._tenant, self._hear)
            else:
                present = await self._feeds.presence.present(self._tenant)
        except StoreUnavailable as error:
            await self._session.refuse(problem(503, str(error), retry_after=1.0), asked.id)
            return
        await self._session.tell("presence.list", {"clients": [_client(one) for one in present]}, asked.id)
        if asked.watch:
            await self._session.follow("presence", self._told())

    def _hear(self, change: Change, one: Present) -> None:
        try:
            self._changes.put_nowait((change, one))
        except asyncio.QueueFull:
            self._session.end(contract.SLOW, "presence was not read")

    async def _told(self) -> AsyncGenerator[bytes, None]:
        while True:
            change, one = await self._changes.get()
            yield text_frame(encode({"event": f"presence.{change}", "data": _client(one)}))


def _client(one: Present) -> dict[str, object]:
    return {"client_id": one.client_id, "since": one.since}
