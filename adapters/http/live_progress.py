"""`/ws/progress`: what a progress is now, then every update of it, those too that are not recorded."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import assert_never

from adapters.http.live_formats import named
from adapters.http.live_handshake import Asking, LiveFeeds
from adapters.http.live_session import Session
from adapters.http.live_topical import UPDATE, ProgressFormat
from adapters.http.problems import problem
from adapters.http.respond import encode
from adapters.http.websocket_protocol import text_frame
from handlers.live_topics import Topic
from millrace.contracts import feed as contract
from millrace.contracts.wire import Accepted, Refused

PATTERN = "progress.#"


class LiveProgress:
    """Serves `/ws/progress`."""

    def __init__(self, feeds: LiveFeeds) -> None:
        self._feeds = feeds
        self._format = ProgressFormat()

    async def __call__(self, session: Session, asking: Asking) -> None:
        async def handle(asked: contract.FollowProgress | contract.UnfollowProgress | contract.Ping) -> None:
            match asked:
                case contract.FollowProgress():
                    await self._follow(session, asking, asked)
                case contract.UnfollowProgress():
                    if await session.unfollow(asked.progress_id):
                        await session.tell("unsubscribed", {"progress_id": asked.progress_id}, asked.id)
                    else:
                        await session.refuse(problem(404, "there is no such subscription"), asked.id)
                case contract.Ping():
                    await session.tell("pong", id=asked.id)
                case _:
                    assert_never(asked)

        await session.run(contract.PROGRESS, handle)

    async def _follow(self, session: Session, asking: Asking, asked: contract.FollowProgress) -> None:
        if not asking.may_see(progress_id=asked.progress_id):
            await session.refuse(problem(403, "the ticket is for another progress"), asked.id)
            return
        if not session.may_follow(asked.progress_id):
            await session.refuse(problem(429, "the connection has as many subscriptions as it may"), asked.id)
            return
        await session.unfollow(asked.progress_id)
        await session.tell("subscribed", {"progress_id": asked.progress_id}, asked.id)
        topic = Topic(session.context.tenant, self._format, PATTERN, asked.progress_id)
        await session.follow(asked.progress_id, self._frames(session, topic, asked.after))

    async def _frames(self, session: Session, topic: Topic, after: str | None) -> AsyncGenerator[bytes, None]:
        if after is None:
            # What happens between the two answers is in the first one and sent once more, which changes nothing.
            page = await session.head(topic)
            asked = {"progress_id": topic.subject}
            query = self._feeds.gateway.query
            found = await session.answer(topic, lambda: query("progress.get", asked, session.context))
            if isinstance(page, Refused):
                yield self._format.refusal(topic, page.problem)
                return
            after = page.result["position"]
            # Who asks before it is created is told of it from its beginning on.
            if isinstance(found, Accepted):
                data = {"event": UPDATE, "position": after, **named(topic), "snapshot": True}
                yield text_frame(encode({**data, "data": found.result["progress"]}))
        async with aclosing(session.feed(topic, after).frames()) as frames:
            async for chunk in frames:
                yield chunk
