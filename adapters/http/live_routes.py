"""The WebSocket routes of the live feed."""

from __future__ import annotations

from collections.abc import Collection

from starlette.routing import WebSocketRoute

from adapters.http.live_events import LiveEvents, check_client
from adapters.http.live_handshake import Asking, LiveFeeds, LiveSocket
from adapters.http.live_notifications import LiveNotifications, check_user
from adapters.http.live_progress import LiveProgress
from adapters.http.parts import Part
from adapters.http.problems import HttpProblem, problem


def live_routes(feeds: LiveFeeds, unserved: Collection[Part] = ()) -> list[WebSocketRoute]:
    """The routes, the particular ones before the general one."""
    # One that is off must not become a client of that name in the general route.
    off = LiveSocket(feeds, LiveEvents(feeds), _refuse)
    progress = LiveSocket(feeds, LiveProgress(feeds))
    notifications = LiveSocket(feeds, LiveNotifications(feeds), check_user)
    return [
        WebSocketRoute("/ws/progress", off if "live progress" in unserved else progress),
        WebSocketRoute("/ws/notifications", off if "live notifications" in unserved else notifications),
        WebSocketRoute("/ws/{client_id}", LiveSocket(feeds, LiveEvents(feeds), check_client)),
    ]


def _refuse(asking: Asking) -> None:
    raise HttpProblem(problem(404, "this feed is switched off in the configuration"))
