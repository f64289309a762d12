"""One progress in memory, folded from its events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from millrace.contracts import progress as contract
from millrace.contracts.wire import Fact

LONG_AGO = datetime.fromtimestamp(0, UTC)
WHOLE = 100.0
DIGITS = 9
OPTIONS = ("type", "metadata", "user_id", "parent_id", "weight", "stall_after")
SHOWN = (
    *OPTIONS, "status", "progress", "stage", "stage_progress", "checkpoint", "result", "error", "error_detail", "rate",
    "stalled_at", "created_at", "started_at", "updated_at", "completed_at", "failed_at", "cancelled_at", "removed",
)  # fmt: skip


class ProgressState:
    """A progress. `rule` says how it follows from its `children`, if it does."""

    stages: list[dict[str, Any]]
    children: dict[str, dict[str, Any]]
    rule: dict[str, Any] | None
    stage: str | None
    rate: float | None
    error: str | None
    error_detail: dict[str, Any] | None
    checkpoint: Any
    result: Any
    started_at: datetime | None
    completed_at: datetime | None
    failed_at: datetime | None
    cancelled_at: datetime | None
    stalled_at: datetime | None
    resumed_at: datetime | None

    def __init__(self, id: str) -> None:
        self.id = id
        self.version = self.first_position = 0
        self._begin(contract.ProgressCreated(status="pending", progress=0, stages=[], metadata={}), LONG_AGO)

    @property
    def stage_progress(self) -> float | None:
        return next((stage["progress"] for stage in self.stages if stage["name"] == self.stage), None)

    @property
    def options(self) -> dict[str, Any]:
        """What it was created with."""
        stages = [{"name": stage["name"], "weight": stage["weight"]} for stage in self.stages]
        return {name: getattr(self, name) for name in OPTIONS} | {"stages": stages, "children": self.rule}

    def index(self, name: str | None) -> int:
        """The place of a stage; -1 where none has begun."""
        return next((n for n, stage in enumerate(self.stages) if stage["name"] == name), -1)

    def apply(self, fact: Fact, at: datetime, position: int) -> None:
        self.version += 1
        if not isinstance(fact, contract.ProgressStalled | contract.ProgressRemoved):
            self.updated_at, self.stalled_at = at, None
        match fact:
            case contract.ProgressCreated():
                self.first_position = position
                self._begin(fact, at)
            case contract.ProgressUpdated():
                self._start(at)
                self.progress, self.rate = fact.progress, fact.rate
                if fact.stage is not None:
                    self._enter(fact.stage, fact.stage_progress or 0.0, at)
            case contract.ProgressCompleted():
                self._start(at)
                self.status, self.progress, self.result, self.completed_at = "completed", WHOLE, fact.result, at
                for stage in self.stages:
                    _close(stage, at)
                self.stage = self.stages[-1]["name"] if self.stages else None
            case contract.ProgressFailed():
                self.status, self.failed_at = "failed", at
                self.error, self.error_detail = fact.error, fact.error_detail
                self._mark("failed")
            case contract.ProgressCancelled():
                self.status, self.cancelled_at, self.error = "cancelled", at, fact.reason
                self._mark("cancelled")
            case contract.ProgressResumed():
                self.status, self.resumed_at, self.resumed_from = "processing", at, fact.progress
                self.failed_at = self.cancelled_at = self.error = self.error_detail = self.rate = None
                self._mark("processing")
            case contract.ProgressChildReported():
                if fact.child_status != "pending":
                    self._start(at)
                known = self.children.get(fact.child_id)
                turned = known is not None and known["status"] != fact.child_status
                self.children[fact.child_id] = {
                    "weight": fact.child_weight,
                    "status": fact.child_status,
                    "progress": fact.child_progress,
                    "version": fact.child_version,
                    "turns": (known or {"turns": 0})["turns"] + turned,
                }
                self.progress, self.rate = fact.progress, fact.rate
            case contract.ProgressJobsCounted():
                if fact.status != "pending":
                    self._start(at)
                self.rule, self.progress, self.rate = fact.children, fact.progress, fact.rate
            case contract.ProgressCheckpointed():
                self.checkpoint = fact.checkpoint
            case contract.ProgressStalled():
                self.stalled_at = at
            case contract.ProgressRemoved():
                self.removed = True
            case _:
                raise TypeError(f"{fact!r} is no event of a progress")

    def view(self, now: datetime) -> dict[str, Any]:
        """The progress as it is read."""
        return {"id": self.id, "version": self.version, **contract.shown(self.to_wire(), now)}

    def to_wire(self) -> dict[str, Any]:
        shown = {name: getattr(self, name) for name in SHOWN}
        return shown | {"stages": [dict(stage) for stage in self.stages] or None, "children": self._counts()}

    def _begin(self, fact: contract.ProgressCreated, at: datetime) -> None:
        self.status, self.progress, self.removed = "pending", 0.0, False
        self.created_at = self.updated_at = at
        self.type, self.metadata, self.user_id = fact.type, fact.metadata, fact.user_id
        self.parent_id, self.weight, self.stall_after = fact.parent_id, fact.weight, fact.stall_after
        self.rule = fact.children
        self.stages = [
            {**stage, "status": "pending", "progress": 0.0, "started_at": None, "completed_at": None}
            for stage in fact.stages
        ]
        self.children = {}
        self.stage = self.rate = self.error = self.error_detail = self.checkpoint = self.result = None
        self.resumed_from = 0.0
        self.started_at = self.completed_at = self.failed_at = self.cancelled_at = None
        self.stalled_at = self.resumed_at = None

    def _start(self, at: datetime) -> None:
        self.status = "processing" if self.status == "pending" else self.status
        self.started_at = self.started_at or at

    def _enter(self, name: str, percent: float, at: datetime) -> None:
        for stage in self.stages:
            if stage["name"] == name:
                stage["progress"], stage["status"] = percent, "completed" if percent == WHOLE else "processing"
                stage["started_at"] = stage["started_at"] or at
                stage["completed_at"] = at if percent == WHOLE else None
                break
            _close(stage, at)
        self.stage = name

    def _mark(self, status: str) -> None:
        for stage in self.stages:
            if stage["name"] == self.stage and stage["status"] != "completed":
                stage["status"] = status

    def _counts(self) -> dict[str, Any] | None:
        if self.rule is None:
            return None
        if "total" in self.rule:
            return dict(self.rule)
        statuses = [child["status"] for child in self.children.values()]
        ended = {status: statuses.count(status) for status in ("completed", "failed", "cancelled")}
        return {**self.rule, "total": len(statuses), "open": len(statuses) - sum(ended.values()), **ended}


def tidy(percent: float) -> float:
    """A computed percent without what the arithmetic of floats adds."""
    return min(WHOLE, round(float(percent), DIGITS))


def _close(stage: dict[str, Any], at: datetime) -> None:
    if stage["status"] != "completed":
        stage["status"], stage["progress"], stage["completed_at"] = "completed", WHOLE, at
        stage["started_at"] = stage["started_at"] or at
