"""Updates as samples: where one leads to, and whether that is worth an event."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from domain.progress import Progress

Outcome = Literal["recorded", "sampled"]


class Window(NamedTuple):
    """When an update is worth an event: after so many seconds, or so many percent, since the last one."""

    seconds: float | None = 1.0
    percent: float | None = None


class Reached(NamedTuple):
    """Where an update leads to.

    Attributes:
        turns: whether it begins the work or a stage, ends one, or ends a stall: that is never left out.
        news: whether it leads any further.
    """

    stage: str | None
    stage_progress: float | None
    progress: float
    turns: bool
    news: bool


def weigh(progress: Progress, reached: Reached, now: datetime, window: Window) -> Outcome:
    """Whether an update is to be recorded, by what was recorded before. One that leads nowhere is, now and then, where
    somebody waits for signs of life."""
    if reached.turns:
        return "recorded"
    silence = (now - progress.updated_at).total_seconds()
    if not reached.news:
        awaited = progress.status == "processing" and progress.stall_after is not None
        return "recorded" if awaited and silence >= (progress.stall_after or 0.0) / 2 else "sampled"
    if window.seconds is not None and silence >= window.seconds:
        return "recorded"
    grown = reached.progress - progress.progress
    return "recorded" if window.percent is not None and grown >= window.percent else "sampled"
