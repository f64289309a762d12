"""The progress of long work: percent, weighted stages, a rate, and how it ended. It never goes backwards."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Self, TypeAlias

from domain.aggregate import Aggregate
from domain.progress_children import counts_of
from domain.progress_errors import (
    ComputedFromChildren,
    NoStages,
    NoSuchProgress,
    NotFurther,
    ProgressEnded,
    ProgressExists,
    UnknownStage,
)
from domain.progress_events import (
    Cancelled,
    Checkpointed,
    Completed,
    Created,
    Failed,
    Moved,
    Removed,
    Resumed,
    StageChanged,
    Stalled,
    Updated,
)
from domain.progress_samples import Reached
from domain.progress_stages import WHOLE, enter, index_of, mark, share_of

KIND = "progress"
OPEN = ("pending", "processing")
# `type` is a field of the aggregate.
Moving: TypeAlias = type[Moved]


class Progress(Aggregate):
    """One piece of long work. Its state is the furthest of all that it was told, in whatever order it was."""

    KIND: ClassVar[str] = KIND

    type: str | None
    user_id: str | None
    parent_id: str | None
    stage: str | None
    rate: float | None
    stall_after: float | None
    error: str | None
    error_detail: dict[str, Any] | None
    rule: dict[str, Any] | None
    begun_at: datetime
    updated_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    failed_at: datetime | None
    cancelled_at: datetime | None
    stalled_at: datetime | None
    resumed_at: datetime | None

    def __base_init__(self, originator_id: Any, originator_version: int, timestamp: datetime) -> None:
        super().__base_init__(originator_id, originator_version, timestamp)
        self.begun_at = self.updated_at = timestamp
        self.type = self.user_id = self.parent_id = self.stall_after = self.rule = None
        self.weight, self.metadata = 1.0, dict[str, Any]()
        self.reset()

    def reset(self) -> None:
        """To the state in which nothing has happened yet."""
        self.status, self.progress, self.removed = "pending", 0.0, False
        self.stages, self.children = list[dict[str, Any]](), dict[str, dict[str, Any]]()
        self.stage = self.rate = self.error = self.error_detail = None
        self.result: Any = None
        self.checkpoint: Any = None
        self.started_at = self.completed_at = self.failed_at = self.cancelled_at = None
        self.stalled_at = self.resumed_at = None
        self.resumed_from, self.counted_as_of = 0.0, 0

    @classmethod
    def create(cls, stream: str, now: datetime, **options: Any) -> Self:
        """A new one with the options that `Created` has."""
        return cls.created_by(Created(stream, 1, now, status="pending", progress=0.0, **options))

    def create_again(self, id: str, now: datetime, **options: Any) -> None:
        """Somebody creates what is there: with equal options nothing happens; what was removed begins anew.

        Raises:
            ProgressExists: the options are others.
        """
        if self.removed:
            self.trigger_event(Created, timestamp=now, status="pending", progress=0.0, **options)
        elif options != self._options():
            raise ProgressExists(id)

    def reach(self, percent: float, stage: str | None) -> Reached:
        """Where an update would lead to. A stage that lies behind the current one has been completed by it.

        Raises:
            UnknownStage: there is no such stage.
            ComputedFromChildren: nobody but its children may move it.
            NoSuchProgress: it was removed.
        """
        self.guard()
        if stage is not None and stage not in (names := [each["name"] for each in self.stages]):
            raise UnknownStage(stage, names)
        if self.rule is not None:
            raise ComputedFromChildren
        turns = self.status == "pending" or self.stalled_at is not None
        here = Reached(self.stage, self._stage_progress(), self.progress, turns, False)
        if self.status not in OPEN:
            return here._replace(turns=False)
        if not self.stages:
            if percent <= self.progress:
                return here
            return Reached(None, None, percent, turns or percent == WHOLE, True)
        current = index_of(self.stages, self.stage)
        target = max(current, 0) if stage is None else index_of(self.stages, stage)
        if target < current:
            return here
        if target == current and percent <= self.stages[current]["progress"]:
            return here
        overall = max(self.progress, share_of(self.stages, target, percent))
        turns = turns or target > current or percent == WHOLE
        return Reached(self.stages[target]["name"], percent, overall, turns, True)

    def update(self, reached: Reached, seq: int | None, now: datetime) -> None:
        """Records where an update leads to."""
        changes: dict[str, Any] = {
            "status": "processing",
            "progress": reached.progress,
            "stage": reached.stage,
            "stage_progress": reached.stage_progress,
            "rate": self.rate_at(reached.progress, now),
            "seq": seq,
        }
        if reached.stage != self.stage:
            self.move(StageChanged, now, **changes, before=self.stage)
        else:
            self.move(Updated, now, **changes)

    def advance(self, stage: str | None, now: datetime) -> None:
        """Completes the current stage and begins the next, or a named later one. The last one is only completed.

        Raises: as `reach_next`.
        """
        reached = self.reach_next(stage)
        if reached.news:
            self.update(reached, None, now)

    def reach_next(self, stage: str | None) -> Reached:
        """Where advancing would lead to.

        Raises:
            NoStages: it has none.
            UnknownStage: there is no such stage.
            NotFurther: the stage does not lie behind the current one.
            ProgressEnded: it has ended.
        """
        self._open()
        if not self.stages:
            raise NoStages
        names = [each["name"] for each in self.stages]
        if stage is not None and stage not in names:
            raise UnknownStage(stage, names)
        current = index_of(self.stages, self.stage)
        if stage is not None and index_of(self.stages, stage) <= current:
            raise NotFurther(stage, str(self.stage))
        target = index_of(self.stages, stage) if stage is not None else current + 1
        return self.reach(0.0, names[target]) if target < len(names) else self.reach(WHOLE, None)

    def complete(self, result: Any, now: datetime) -> None:
        """Ends it: all stages are completed. Repeating changes nothing.

        Raises:
            ProgressEnded: it has failed or was cancelled.
        """
        self.guard()
        if self.status == "completed":
            return
        self._open()
        self.move(Completed, now, status="completed", progress=WHOLE, result=result)

    def fail(self, error: str, detail: dict[str, Any] | None, now: datetime) -> None:
        """Ends it with an error; it can be resumed. Repeating changes nothing.

        Raises:
            ProgressEnded: it is completed or was cancelled.
        """
        self.guard()
        if self.status == "failed":
            return
        self._open()
        self.move(Failed, now, status="failed", progress=self.progress, error=error, error_detail=detail)

    def cancel(self, reason: str | None, now: datetime) -> None:
        """Ends it because nobody wants it any more. Repeating changes nothing.

        Raises:
            ProgressEnded: it is completed or has failed.
        """
        self.guard()
        if self.status == "cancelled":
            return
        self._open()
        self.move(Cancelled, now, status="cancelled", progress=self.progress, reason=reason)

    def resume(self, now: datetime, *, new_attempt: bool = False) -> None:
        """Goes on where it failed or was cancelled, with the checkpoint that was stored last; an open one just goes on.

        Args:
            new_attempt: nobody has worked on it lately, though nobody could say so; the rate counts from now on.

        Raises:
            ProgressEnded: it is completed.
        """
        self.guard()
        if self.status == "completed":
            raise ProgressEnded(self.status)
        if self.status not in OPEN or (new_attempt and self.status == "processing"):
            self.move(Resumed, now, status="processing", progress=self.progress, checkpoint=self.checkpoint)

    def store_checkpoint(self, checkpoint: Any, now: datetime) -> None:
        """Keeps what the caller needs to go on from here.

        Raises:
            ProgressEnded: it has ended.
        """
        self._open()
        if checkpoint != self.checkpoint:
            self.trigger_event(Checkpointed, timestamp=now, checkpoint=checkpoint)

    def stall(self, now: datetime) -> None:
        """Notes that nothing was heard for too long, once."""
        if self.removed or self.status != "processing" or self.stalled_at is not None or self.stall_after is None:
            return
        if (now - self.updated_at).total_seconds() >= self.stall_after:
            self.trigger_event(Stalled, timestamp=now, after=self.stall_after, since=self.updated_at)

    def remove(self, reason: str | None, now: datetime) -> None:
        """Takes it out of the read model; the log keeps it. Repeating changes nothing."""
        if not self.removed:
            self.trigger_event(Removed, timestamp=now, reason=reason)

    def expire(self, now: datetime) -> None:
        """Removes what has ended; an open one stays."""
        if self.status not in OPEN:
            self.remove("retention", now)

    def end_with_job(self, status: str, reason: str | None, now: datetime) -> None:
        """Ends as its job has, unless it has ended before."""
        if self.removed or self.status not in OPEN:
            return
        match status:
            case "completed":
                self.complete(None, now)
            case "cancelled":
                self.cancel(reason, now)
            case _:
                self.fail(reason or "its job failed", None, now)

    def start(self, at: datetime) -> None:
        if self.status == "pending":
            self.status = "processing"
        self.started_at = self.started_at or at

    def touch(self, at: datetime) -> None:
        self.updated_at, self.stalled_at = at, None

    def enter(self, name: str, percent: float, at: datetime) -> None:
        """Makes a stage the current one, which completes those before it."""
        enter(self.stages, name, percent, at)
        self.stage = name

    def mark(self, status: str) -> None:
        """Gives the current stage a status, unless it is completed."""
        mark(self.stages, self.stage, status)

    def to_wire(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "status": self.status,
            "progress": self.progress,
            "stage": self.stage,
            "stage_progress": self._stage_progress(),
            "stages": [dict(stage) for stage in self.stages] or None,
            "metadata": self.metadata,
            "user_id": self.user_id,
            "parent_id": self.parent_id,
            "weight": self.weight,
            "children": counts_of(self.children, self.rule),
            "checkpoint": self.checkpoint,
            "result": self.result,
            "error": self.error,
            "error_detail": self.error_detail,
            "rate": self.rate,
            "stall_after": self.stall_after,
            "stalled_at": self.stalled_at,
            "created_at": self.begun_at,
            "started_at": self.started_at,
            "updated_at": self.updated_at,
            "completed_at": self.completed_at,
            "failed_at": self.failed_at,
            "cancelled_at": self.cancelled_at,
            "removed": self.removed,
        }

    def move(self, event: Moving, now: datetime, **changes: Any) -> None:
        self.trigger_event(event, timestamp=now, parent_id=self.parent_id, weight=self.weight, **changes)

    def _options(self) -> dict[str, Any]:
        return {
            "parent_id": self.parent_id,
            "weight": self.weight,
            "type": self.type,
            "stages": [{"name": stage["name"], "weight": stage["weight"]} for stage in self.stages],
            "metadata": self.metadata,
            "user_id": self.user_id,
            "children": self.rule,
            "stall_after": self.stall_after,
        }

    def guard(self) -> None:
        if self.removed:
            raise NoSuchProgress

    def _open(self) -> None:
        self.guard()
        if self.status not in OPEN:
            raise ProgressEnded(self.status)

    def _stage_progress(self) -> float | None:
        return None if self.stage is None else float(self.stages[index_of(self.stages, self.stage)]["progress"])

    def rate_at(self, percent: float, now: datetime) -> float | None:
        """Percent a second since the work began or was resumed; None while that says nothing."""
        since = self.resumed_at or self.started_at
        seconds = (now - since).total_seconds() if since is not None else 0.0
        gained = percent - self.resumed_from
        return gained / seconds if seconds > 0 and gained > 0 else None
