"""Events in and out: an application publishes one, or follows the log as server-sent events."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from adapters.http.body import object_of
from adapters.http.call import call_of
from adapters.http.door import Door, shutdown_of
from adapters.http.models import Published
from adapters.http.operations import errors, takes
from adapters.http.problems import HttpProblem
from adapters.http.respond import respond
from adapters.http.sse import HEARTBEAT, PAGE, EventStream
from millrace.contracts.event import Publish
from millrace.contracts.wire import Accepted, Message, Refused

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
    """

    pattern: str = Field("#", min_length=1, max_length=200)
    after: str = Field("head", min_length=1, max_length=128)


def event_routes(door: Door) -> APIRouter:
    """The routes of the events."""
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

        async def read(after: str, wait: float = HEARTBEAT) -> Accepted | Refused:
            body: dict[str, Any] = {"after": after, "pattern": wish.pattern, "limit": PAGE, "wait": wait}
            return await door.gateway.query("log.read", body, context)

        first = await read(start, 0.0)
        if isinstance(first, Refused) and first.problem.code != "reset":
            raise HttpProblem(first.problem)
        return EventStream(read, first, shutdown_of(request))

    return router
