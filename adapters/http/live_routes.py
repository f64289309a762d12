"""The WebSocket routes of the live feed."""

from __future__ import annotations

from starlette.routing import WebSocketRoute

from adapters.http.live_events import LiveEvents, check_client
from adapters.http.live_handshake import LiveFeeds, LiveSocket
from adapters.http.live_notifications import LiveNotifications, check_user
from adapters.http.live_progress import LiveProgress


def live_routes(feeds: LiveFeeds) -> list[WebSocketRoute]:
    """The routes, the particular ones before the general one."""
    return [
        WebSocketRoute("/ws/progress", LiveSocket(feeds, LiveProgress(feeds))),
        WebSocketRoute("/ws/notifications", LiveSocket(feeds, LiveNotifications(feeds), check_user)),
        WebSocketRoute("/ws/{client_id}", LiveSocket(feeds, LiveEvents(feeds), check_client)),
    ]
