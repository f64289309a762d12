"""What the settings say about the parts of the HTTP interface: which are off, and where the movable ones are."""

from __future__ import annotations

from typing import Literal, NamedTuple

Part = Literal["progress", "notifications", "live progress", "live notifications"]


class LivePaths(NamedTuple):
    """Where the live feeds of progress and notifications answer."""

    progress: str
    notifications: str


USUAL_PATHS = LivePaths("/ws/progress", "/ws/notifications")
