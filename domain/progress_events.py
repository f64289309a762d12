"""What happens to a progress."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from domain.aggregate import Event
from domain.progress_stages import close, new_stage

if TYPE_CHECKING:
    from domain.progress import Progress


class ProgressEvent(Event):
    TOPIC: ClassVar[str] = "progress.event"


class Moved(ProgressEvent):
    """Base of the events after which a parent may stand elsewhere; they tell it all that it needs to know.

    Attributes:
        status: from now on, as `progress`, the overall percent.
        weight: what this one counts in its parent.
    """

    TOPIC: ClassVar[str] = "progress.moved"
    status: str
    progress: float
    parent_id: str | None
    weight: float


class Created(Moved):
    TOPIC: ClassVar[str] = "progress.created"
    type: str | None
    stages: list[dict[str, Any]]
    metadata: dict[str, Any]
    user_id: str | None
    children: dict[str, Any] | None
    stall_after: float | None

    def apply(self, progress: Progress) -> None:
        progress.reset()
        progress.begun_at = self.timestamp
        progress.progress, progress.parent_id, progress.weight = self.progress, self.parent_id, self.weight
        progress.type, progress.metadata, progress.user_id = self.type, self.metadata, self.user_id
        progress.rule, progress.stall_after = self.children, self.stall_after
        progress.stages = [new_stage(stage["name"], stage["weight"]) for stage in self.stages]
        progress.touch(self.timestamp)


class Progressed(Moved):
    TOPIC: ClassVar[str] = "progress.progressed"
    stage: str | None
    stage_progress: float | None
    rate: float | None
    seq: int | None

    def apply(self, progress: Progress) -> None:
        progress.start(self.timestamp)
        progress.progress, progress.rate = self.progress, self.rate
        if self.stage is not None:
            progress.enter(self.stage, self.stage_progress or 0.0, self.timestamp)
        progress.touch(self.timestamp)


class Updated(Progressed):
    TOPIC: ClassVar[str] = "progress.updated"


class StageChanged(Progressed):
    TOPIC: ClassVar[str] = "progress.stage_changed"
    before: str | None


class Completed(Moved):
    TOPIC: ClassVar[str] = "progress.completed"
    result: Any

    def apply(self, progress: Progress) -> None:
        progress.start(self.timestamp)
        progress.status, progress.progress, progress.result = "completed", self.progress, self.result
        for stage in progress.stages:
            close(stage, self.timestamp)
        progress.stage = progress.stages[-1]["name"] if progress.stages else None
        progress.completed_at = self.timestamp
        progress.touch(self.timestamp)


class Failed(Moved):
    TOPIC: ClassVar[str] = "progress.failed"
    error: str
    error_detail: dict[str, Any] | None

    def apply(self, progress: Progress) -> None:
        progress.status, progress.failed_at = "failed", self.timestamp
        progress.error, progress.error_detail = self.error, self.error_detail
        progress.mark("failed")
        progress.touch(self.timestamp)


class Cancelled(Moved):
    TOPIC: ClassVar[str] = "progress.cancelled"
    reason: str | None

    def apply(self, progress: Progress) -> None:
        progress.status, progress.cancelled_at = "cancelled", self.timestamp
        progress.error = self.reason
        progress.mark("cancelled")
        progress.touch(self.timestamp)


class Resumed(Moved):
    TOPIC: ClassVar[str] = "progress.resumed"
    checkpoint: Any

    def apply(self, progress: Progress) -> None:
        progress.status = "processing"
        progress.failed_at = progress.cancelled_at = progress.error = progress.error_detail = progress.rate = None
        progress.resumed_at, progress.resumed_from = self.timestamp, self.progress
        progress.mark("processing")
        progress.touch(self.timestamp)


class ChildReported(Moved):
    TOPIC: ClassVar[str] = "progress.child_reported"
    child_id: str
    child_weight: float
    child_status: str
    child_progress: float
    child_version: int
    rate: float | None

    def apply(self, progress: Progress) -> None:
        if self.child_status != "pending":
            progress.start(self.timestamp)
        known = progress.children.get(self.child_id)
        turned = known is not None and known["status"] != self.child_status
        progress.children[self.child_id] = {
            "weight": self.child_weight,
            "status": self.child_status,
            "progress": self.child_progress,
            "version": self.child_version,
            "turns": (known or {}).get("turns", 0) + turned,
        }
        progress.progress, progress.rate = self.progress, self.rate
        progress.touch(self.timestamp)


class JobsCounted(Moved):
    TOPIC: ClassVar[str] = "progress.jobs_counted"
    children: dict[str, Any]
    as_of: int
    rate: float | None

    def apply(self, progress: Progress) -> None:
        if self.status != "pending":
            progress.start(self.timestamp)
        progress.rule, progress.counted_as_of = self.children, self.as_of
        progress.progress, progress.rate = self.progress, self.rate
        progress.touch(self.timestamp)


class Checkpointed(ProgressEvent):
    TOPIC: ClassVar[str] = "progress.checkpointed"
    checkpoint: Any

    def apply(self, progress: Progress) -> None:
        progress.checkpoint = self.checkpoint
        progress.touch(self.timestamp)


class Stalled(ProgressEvent):
    TOPIC: ClassVar[str] = "progress.stalled"
    after: float
    since: datetime

    def apply(self, progress: Progress) -> None:
        progress.stalled_at = self.timestamp


class Removed(ProgressEvent):
    TOPIC: ClassVar[str] = "progress.removed"
    reason: str | None

    def apply(self, progress: Progress) -> None:
        progress.removed = True
