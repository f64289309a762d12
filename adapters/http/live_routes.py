"""The WebSocket routes of the live feed."""

from __future__ import annotations

from collections.abc import Callable, Collection

from starlette.routing import WebSocketRoute

from adapters.http.live_events import LiveEvents, check_client
from adapters.http.live_handshake import Asking, LiveFeeds, LiveSocket
from adapters.http.live_notifications import LiveNotifications, check_user
from adapters.http.live_progress import LiveProgress
from adapters.http.parts import USUAL_PATHS, LivePaths, Part
from adapters.http.problems import HttpProblem, problem

OFF = "this feed is switched off in the configuration"


def live_routes(
    feeds: LiveFeeds, unserved: Collection[Part] = (), paths: LivePaths = USUAL_PATHS
) -> list[WebSocketRoute]:
    """The routes, the particular ones before the general one."""
    progress = LiveSocket(feeds, LiveProgress(feeds))
    notifications = LiveSocket(feeds, LiveNotifications(feeds), check_user)
    routes = {
        paths.progress: _refusing(feeds, OFF) if "live progress" in unserved else progress,
        paths.notifications: _refusing(feeds, OFF) if "live notifications" in unserved else notifications,
    }
    # What is off or elsewhere must not become a client of that name in the general route.
    for usual, path in zip(USUAL_PATHS, paths, strict=True):
        routes.setdefault(usual, _refusing(feeds, f"this feed is at {path}"))
    routes["/ws/{client_id}"] = LiveSocket(feeds, LiveEvents(feeds), check_client)
    return [WebSocketRoute(path, socket) for path, socket in routes.items()]


def _refusing(feeds: LiveFeeds, detail: str) -> LiveSocket:
    return LiveSocket(feeds, LiveEvents(feeds), _refusal(detail))


def _refusal(detail: str) -> Callable[[Asking], None]:
    def refuse(asking: Asking) -> None:
        raise HttpProblem(problem(404, detail))

    return refuse
