"""The stages of a progress, each a dictionary: it goes into snapshots and onto the wire as it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

WHOLE = 100.0
# So many digits are beyond what anybody shows, and well within what a float is exact to.
DIGITS = 9


def new_stage(name: str, weight: float) -> dict[str, Any]:
    """A stage that has not begun. Its times are text, so that it is the same in a snapshot."""
    return {
        "name": name,
        "weight": weight,
        "status": "pending",
        "progress": 0.0,
        "started_at": None,
        "completed_at": None,
    }


def close(stage: dict[str, Any], at: datetime) -> None:
    """Completes a stage, if it is not."""
    if stage["status"] != "completed":
        stage["status"], stage["progress"] = "completed", WHOLE
        stage["started_at"] = stage["started_at"] or at.isoformat()
        stage["completed_at"] = at.isoformat()


def index_of(stages: Sequence[dict[str, Any]], name: str | None) -> int:
    """The place of a stage; -1 where there is none of that name, as while none has begun."""
    return next((n for n, stage in enumerate(stages) if stage["name"] == name), -1)


def share_of(stages: Sequence[dict[str, Any]], target: int, percent: float) -> float:
    """The overall percent once the stage `target` has `percent` and those before it are completed."""
    done = sum(stage["weight"] for stage in stages[:target]) * WHOLE
    done += stages[target]["weight"] * percent
    return tidy(done / sum(stage["weight"] for stage in stages))


def tidy(percent: float) -> float:
    """A computed percent without what the arithmetic of floats adds: 43, not 43.00000000000001."""
    return min(WHOLE, round(float(percent), DIGITS))


def enter(stages: Sequence[dict[str, Any]], name: str, percent: float, at: datetime) -> None:
    """Gives a stage a percent, which completes those before it."""
    for stage in stages:
        if stage["name"] == name:
            stage["status"] = "completed" if percent == WHOLE else "processing"
            stage["progress"] = percent
            stage["started_at"] = stage["started_at"] or at.isoformat()
            stage["completed_at"] = at.isoformat() if percent == WHOLE else None
            break
        close(stage, at)


def mark(stages: Sequence[dict[str, Any]], name: str | None, status: str) -> None:
    """Gives a stage a status, unless it is completed."""
    for stage in stages:
        if stage["name"] == name and stage["status"] != "completed":
            stage["status"] = status
