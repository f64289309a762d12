"""The events of a progress."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from millrace.contracts.wire import Fact


class _Moved(Fact):
    """What the events have in common after which a parent may stand elsewhere."""

    status: str
    progress: float
    parent_id: str | None = None
    weight: float = 1.0


class ProgressCreated(_Moved):
    type: str | None = None
    stages: list[dict[str, Any]]
    metadata: dict[str, Any]
    user_id: str | None = None
    children: dict[str, Any] | None = None
    stall_after: float | None = None


class ProgressUpdated(_Moved):
    """It has got further, or gave a sign of life; `progress` is the overall percent."""

    stage: str | None = None
    stage_progress: float | None = None
    rate: float | None = None
    seq: int | None = None


class ProgressStageChanged(ProgressUpdated):
    """It has begun a stage, which completes those before."""

    before: str | None = None


class ProgressCompleted(_Moved):
    result: Any = None


class ProgressFailed(_Moved):
    error: str
    error_detail: dict[str, Any] | None = None


class ProgressCancelled(_Moved):
    reason: str | None = None


class ProgressResumed(_Moved):
    """It goes on from the checkpoint that was stored, after it failed, was cancelled or was left open."""

    checkpoint: Any = None


class ProgressChildReported(_Moved):
    """A part of it stands somewhere else now."""

    child_id: str
    child_weight: float
    child_status: str
    child_progress: float
    child_version: int
    rate: float | None = None


class ProgressJobsCounted(_Moved):
    """The jobs of the batch that it follows from stand somewhere else now.

    Attributes:
        as_of: grows with the log; newer counts have a higher one.
    """

    children: dict[str, Any]
    as_of: int
    rate: float | None = None


class ProgressCheckpointed(Fact):
    checkpoint: Any = None


class ProgressStalled(Fact):
    """Nothing was heard of it for `after` seconds, `since` that time."""

    after: float
    since: datetime


class ProgressRemoved(Fact):
    reason: str | None = None


EVENTS: dict[str, type[Fact]] = {
    "progress.created": ProgressCreated,
    "progress.updated": ProgressUpdated,
    "progress.stage_changed": ProgressStageChanged,
    "progress.completed": ProgressCompleted,
    "progress.failed": ProgressFailed,
    "progress.cancelled": ProgressCancelled,
    "progress.resumed": ProgressResumed,
    "progress.child_reported": ProgressChildReported,
    "progress.jobs_counted": ProgressJobsCounted,
    "progress.checkpointed": ProgressCheckpointed,
    "progress.stalled": ProgressStalled,
    "progress.removed": ProgressRemoved,
}
