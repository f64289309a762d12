"""A progress as it is read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from millrace.contracts.progress_fields import Outcome, ProgressStatus
from millrace.contracts.wire import Fact, Identifier, Message, Name


class GetProgress(Message):
    """Query `progress.get`."""

    progress_id: Identifier


class ListProgress(Message):
    """Query `progress.list`: newest first, in pages.

    Attributes:
        parent_id: the parts of this progress.
        stalled: those of which nothing was heard for too long, or the others.
    """

    status: ProgressStatus | None = None
    user_id: Identifier | None = None
    type: Name | None = None
    parent_id: Identifier | None = None
    stalled: bool | None = None
    limit: Annotated[int, Field(ge=1, le=1_000)] = 50
    cursor: str | None = Field(None, max_length=64)


class ProgressStage(Fact):
    """One stage as it is read."""

    name: str
    status: ProgressStatus
    progress: float
    weight: float = 1.0
    started_at: datetime | None = None
    completed_at: datetime | None = None


class ChildCounts(Fact):
    """The parts of a progress, by how they stand. Where `mode` is `jobs`, they are the jobs of a batch."""

    mode: Literal["mean", "count", "jobs"]
    expected: int | None = None
    total: int
    open: int
    completed: int
    failed: int
    cancelled: int


class Progress(Fact):
    """A progress as it is read: what was recorded.

    Attributes:
        progress: overall percent.
        stage: the current stage, and `stage_progress` its percent.
        rate: percent a second since the work began or was resumed.
        eta: seconds until 100 percent at that rate; null while nobody can say.
        checkpoint: what the caller stored last to go on from.
        stalled_at: since when nothing is heard; the next update ends that.
    """

    id: str
    version: int
    type: str | None = None
    status: ProgressStatus
    progress: float
    stage: str | None = None
    stage_progress: float | None = None
    stages: list[ProgressStage] | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    user_id: str | None = None
    parent_id: str | None = None
    weight: float = 1.0
    children: ChildCounts | None = None
    checkpoint: Any = None
    result: Any = None
    error: str | None = None
    error_detail: dict[str, Any] | None = None
    rate: float | None = None
    eta: float | None = None
    stall_after: float | None = None
    stalled_at: datetime | None = None
    created_at: datetime
    started_at: datetime | None = None
    updated_at: datetime
    completed_at: datetime | None = None
    failed_at: datetime | None = None
    cancelled_at: datetime | None = None


class ProgressUpdate(Progress):
    """Answer to an update: what is recorded, and whether the update was."""

    outcome: Outcome


def shown(state: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """A progress as it is read now: the recorded state, and how long it will take from now on."""
    view = {name: value for name, value in state.items() if name != "removed"}
    passed = (now - state["updated_at"]).total_seconds()
    return view | {"eta": time_left(state, passed)}


def as_recorded(id: str, version: int, state: Mapping[str, Any]) -> Progress:
    """A progress as it was at one of its events, with the time that was left then."""
    return Progress.model_validate({**state, "id": id, "version": version, "eta": time_left(state)})


def time_left(told: Mapping[str, Any], passed: float = 0.0) -> float | None:
    """Seconds until 100 percent at the rate that is told; None while nobody can say.

    Args:
        told: a progress, an event of one or a sample: what is not in it is not known.
        passed: seconds since then.
    """
    rate = told.get("rate")
    if not rate or told.get("status") != ProgressStatus.PROCESSING or told.get("stalled_at") is not None:
        return None
    left: float = (100.0 - told["progress"]) / rate - passed
    return round(max(0.0, left), 3)
