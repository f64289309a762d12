"""One stage of a progress, as a dictionary: it goes into snapshots and onto the wire as it is."""

from __future__ import annotations

from datetime import datetime
from typing import Any

WHOLE = 100.0


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
