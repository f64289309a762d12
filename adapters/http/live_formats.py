"""How subscribers are written to: server-sent events, and messages over a WebSocket."""

from __future__ import annotations

from typing import Any

from adapters.http.respond import encode
from adapters.http.websocket_protocol import text_frame
from handlers.live_topics import LiveEvent, Topic
from millrace.contracts.wire import Problem


class SseFormat:
    """Server-sent events: the position is the `id`, the event type the `event`, a CloudEvent the `data`."""

    def event(self, event: LiveEvent, topic: Topic) -> bytes:
        mark = f"id: {event.cloud['position']}\n" if event.position else ""
        return f"{mark}event: {event.event_type}\ndata: ".encode() + event.json + b"\n\n"

    def caught_up(self, topic: Topic, position: str) -> bytes:
        return sse("caught-up", {"position": position}, position)

    def heartbeat(self, topic: Topic, position: str) -> bytes:
        # An id without data moves the client's position on and fires nothing.
        return f": heartbeat\nid: {position}\n\n".encode()

    def unavailable(self, topic: Topic) -> bytes:
        return b": unavailable\n\n"

    def refusal(self, topic: Topic, problem: Problem) -> bytes:
        return sse(problem.code, problem.model_dump(exclude_none=True), "")


class SocketFormat:
    """Messages that name their subscription: `{"event", "position", "pattern", "data"}`."""

    def event(self, event: LiveEvent, topic: Topic) -> bytes:
        head = head_of(event.event_type, event.cloud["position"] if event.position else None, topic)
        return text_frame(head[:-1] + b',"data":' + event.json + b"}")

    def caught_up(self, topic: Topic, position: str) -> bytes:
        return text_frame(head_of("caught-up", position, topic))

    def heartbeat(self, topic: Topic, position: str) -> bytes:
        return text_frame(head_of("heartbeat", position, topic))

    def unavailable(self, topic: Topic) -> bytes:
        return text_frame(head_of("unavailable", None, topic))

    def refusal(self, topic: Topic, problem: Problem) -> bytes:
        body = encode({"data": problem.model_dump(exclude_none=True)})
        return text_frame(head_of(problem.code, None, topic)[:-1] + b"," + body[1:])


def head_of(event: str, position: str | None, topic: Topic) -> bytes:
    """The members that every message of a subscription has; what is not recorded has no position."""
    return encode({"event": event, **({} if position is None else {"position": position}), **named(topic)})


def sse(name: str, data: object, position: str | None = None) -> bytes:
    """One server-sent event; with an empty position the client forgets its own."""
    mark = "" if position is None else f"id: {position}\n"
    return f"{mark}event: {name}\ndata: ".encode() + encode(data) + b"\n\n"


def named(topic: Topic) -> dict[str, Any]:
    """What tells a subscription from the others of a connection."""
    filters = {"subject": topic.subject, "user_id": topic.user_id}
    return {"pattern": topic.pattern, **{name: value for name, value in filters.items() if value is not None}}
