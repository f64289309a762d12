"""Events in and out: an application publishes one, or follows the log as server-sent events."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from adapters.http.body import object_of
from adapters.http.call import call_of
from adapters.http.door import Door, shutdown_of
from adapters.http.live_formats import SseFormat
from adapters.http.live_handshake import LiveFeeds
from adapters.http.models.event import Published
from adapters.http.operations import errors, takes
from adapters.http.problems import HttpProblem
from adapters.http.respond import respond
from adapters.http.sse import EventStream
from handlers.live_feed import LiveFeed
from handlers.live_topics import Topic
from millrace.contracts.event import Publish
from millrace.contracts.wire import Identifier, Message, Refused

STREAM_DOCUMENT = {
    "description": (
        "Server-sent events. Each has the position as `id`, the event type as `event` and a CloudEvent as `data`. "
        "`caught-up` marks that everything recorded so far was sent; `reset` that the position is of another log and "
        "the stream ends; `gone` that a reader fell behind the oldest event that is kept. Comments are heartbeats."
    ),
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}


class Following(Message):
    """Which events, and from where.

    Attributes:
        pattern: topic pattern over event types.
        after: a position token, `beginning`, or `head`; the header `Last-Event-ID` goes before it.
        subject: only the events of the aggregate with this id.
        user_id: only events whose data names this user.
    """

    pattern: str = Field("#", min_length=1, max_length=200)
    after: str = Field("head", min_length=1, max_length=128)
    subject: Identifier | None = None
    user_id: Identifier | None = None


def event_routes(door: Door, live: LiveFeeds) -> APIRouter:
    """The routes of the events."""
    format = SseFormat()
    router = APIRouter(tags=["events"], responses=errors())

    @router.post(
        "/api/events",
        status_code=201,
        response_model=Published,
        operation_id="publish_event",
        openapi_extra=takes(Publish),
    )
    async def publish(request: Request) -> Response:
        """Records an application's own event and relays it like any other."""
        call = call_of(request.scope)
        done = await door.execute(request, "event.publish", object_of(call))
        return respond(call, done.result, 201, position=done.position)

    @router.get(
        "/api/events",
        response_class=Response,
        operation_id="follow_events",
        responses={200: STREAM_DOCUMENT},
    )
    async def follow(request: Request, wish: Annotated[Following, Query()]) -> Response:
        """Follows the log from any position: exactly what was missed, in order, then live."""
        context = door.context(request)
        # A browser that reconnects repeats its first address; what it saw last is newer.
        start = call_of(request.scope).text(b"last-event-id") or wish.after
        topic = Topic(context.tenant, format, wish.pattern, wish.subject, wish.user_id)
        slow = asyncio.Event()
        feed = LiveFeed(
            live.hub,
            topic,
            start,
            context,
            on_slow=lambda _: slow.set(),
            patience=live.limits.patience,
            heartbeat=live.limits.heartbeat,
        )
        first = await feed.first_page()
        if isinstance(first, Refused) and first.problem.code != "reset":
            raise HttpProblem(first.problem)
        return EventStream(feed.frames(first), live.places.place(context.tenant), shutdown_of(request), slow)

    return router
