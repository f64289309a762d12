"""What `/ws/progress` and `/ws/notifications` say of an event: the thing as it is after it, not the fact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.http.live_formats import SocketFormat, head_of
from adapters.http.respond import encode
from adapters.http.websocket_protocol import text_frame
from handlers.live_topics import LiveEvent, Topic
from millrace.contracts.progress import time_left

UPDATE = "progress.update"
NOT_SHOWN = frozenset(
    {
        "parent_id", "weight", "before", "checkpoint", "child_id", "child_weight", "child_status", "child_progress",
        "child_version", "removed", "as_of",
    }
)  # fmt: skip
INBOX = frozenset({"all_read", "cancelled", "created", "read", "removed", "snoozed", "woken"})


class ProgressFormat(SocketFormat):
    """`{"event": "progress.update", "data": {"id", "status", "progress", "stage" …}}` for whatever moves a progress.

    The data has what is new; the rest stays as it was told before. A sample has no position.
    """

    def event(self, event: LiveEvent, topic: Topic) -> bytes:
        told = event.cloud["data"]
        if event.position and not ("status" in told or event.event_type in ("progress.stalled", "progress.removed")):
            return b""
        data = {"id": event.subject, **{name: value for name, value in told.items() if name not in NOT_SHOWN}}
        if event.event_type == "progress.stalled":
            data["stalled_at"] = event.cloud["time"]
        elif event.event_type == "progress.removed":
            data["status"] = "removed"
        data["eta"] = time_left(data)
        return message(UPDATE, event, topic, data)


class InboxFormat(SocketFormat):
    """`{"event": "notification.created", "data": {"id", "title" …}}` and the like, for what changes a user's inbox."""

    def event(self, event: LiveEvent, topic: Topic) -> bytes:
        told = event.cloud["data"]
        kind = event.event_type.rpartition(".")[2]
        if kind not in INBOX or (kind == "created" and not told.get("in_inbox", True)):
            return b""
        data = {"id": event.subject, **told}
        if kind == "created":
            data |= {"read": False, "timestamp": event.cloud["time"]}
        return message(event.event_type, event, topic, data)


def message(name: str, event: LiveEvent, topic: Topic, data: Mapping[str, Any]) -> bytes:
    """One message about an event."""
    head = head_of(name, event.cloud["position"] if event.position else None, topic)
    body = encode(
        {"eventtype": event.event_type, "data": data} if event.position else {"transient": True, "data": data}
    )
    return text_frame(head[:-1] + b"," + body[1:])
