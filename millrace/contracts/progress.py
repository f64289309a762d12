"""The progress of long work on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic_core import to_json

from millrace.contracts.wire import Fact, Identifier, Message, Name, Text

T = TypeVar("T")
MAX_STAGES = 1_000
MAX_DATA_BYTES = 65_536


class ProgressStatus(StrEnum):
    """How a progress, or one of its stages, stands."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)]
Silence = Annotated[float, Field(ge=1, le=31_536_000, allow_inf_nan=False)]
Sequence = Annotated[int, Field(ge=0, le=9_223_372_036_854_775_807)]
Outcome = Literal["recorded", "sampled"]


class StageWish(Message):
    """A stage that work is to go through.

    Attributes:
        weight: its part of the whole, beside the weights of the other stages.
    """

    name: Name
    weight: Share = 1.0


class Children(Message):
    """How a progress follows from others that name it as their parent.

    Attributes:
        mode: `mean` of their percents by their weights, or `count` of those that are completed.
        expected: how many there will be; once as many have ended, this one ends too.
    """

    mode: Literal["mean", "count"] = "mean"
    expected: Annotated[int, Field(ge=1, le=10_000)] | None = None


def _stage(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


def _rule(value: object) -> object:
    return {"mode": value} if isinstance(value, str) else value


def _names_too(schema: dict[str, Any]) -> None:
    """Stages and children may be given in short, for whoever validates against the schema."""
    name = {"type": "string", "minLength": 1, "maxLength": 128, "description": "the stage's name alone"}
    items = schema["properties"]["stages"]
    items["items"] = {"anyOf": [items["items"], name]}
    schema["properties"]["children"]["anyOf"].append({"enum": ["mean", "count"]})


def _empty(value: object) -> object:
    return {} if value is None else value


class CreateProgress(Message):
    """`progress.create`: a progress at 0 percent. One that is there with the same values is the answer.

    Attributes:
        id: the caller's; default one made from the command's id.
        stages: names, or names with weights, in their order.
        metadata: at most 64 KiB of JSON.
        type: kind of work, for which the configuration may fix the metadata and the order of stages.
        parent_id: the progress that this one is a part of.
        weight: what this one counts in its parent.
        children: makes the percent follow from the parts that name this one as their parent.
        stall_after: seconds without an update after which `progress.stalled` is recorded.
    """

    model_config = ConfigDict(json_schema_extra=_names_too)

    id: Identifier | None = None
    stages: list[Annotated[StageWish, BeforeValidator(_stage)]] = Field(default_factory=list, max_length=MAX_STAGES)
    metadata: Annotated[dict[str, Any], BeforeValidator(_empty)] = Field(default_factory=dict)
    user_id: Identifier | None = None
    type: Name | None = None
    parent_id: Identifier | None = None
    weight: Share = 1.0
    children: Annotated[Children | None, BeforeValidator(_rule)] = None
    stall_after: Silence | None = None

    @field_validator("stages", mode="before")
    @classmethod
    def _none(cls, value: object) -> object:
        return [] if value is None else value

    @field_validator("metadata")
    @classmethod
    def _bounded(cls, value: dict[str, Any]) -> dict[str, Any]:
        return bounded(value)

    @model_validator(mode="after")
    def _fits(self) -> CreateProgress:
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise ValueError("stages: each has a name of its own")
        if self.stages and self.children is not None:
            raise ValueError("children: a progress follows from its stages or from its children, not from both")
        if self.parent_id is not None and self.parent_id == self.id:
            raise ValueError("parent_id: a progress is no part of itself")
        return self


class ProgressOptions(CreateProgress):
    """What `app.progress.create` takes in one object."""


class ProgressChange(Message):
    """How far a progress has got.

    Attributes:
        progress: percent of the stage; of the whole where there are no stages.
        stage: completes the stages before it; default the current one.
        seq: grows with each update of the caller's, for whoever shows them.
    """

    progress: Percent
    stage: Name | None = None
    seq: Sequence | None = None


class UpdateProgress(ProgressChange):
    """`progress.update`: a sample, of which at most one in a second is recorded; nothing ever goes backwards."""

    progress_id: Identifier


class ProgressAdvance(Message):
    """Which stage comes next; default the one after the current."""

    stage: Name | None = None


class AdvanceProgress(ProgressAdvance):
    """`progress.advance`: completes the current stage and begins the next."""

    progress_id: Identifier


class ProgressResult(Message):
    """What came of the work."""

    result: Any = None

    @field_validator("result")
    @classmethod
    def _bounded(cls, value: Any) -> Any:
        return bounded(value)


class CompleteProgress(ProgressResult):
    """`progress.complete`: ends it with all stages at 100 percent."""

    progress_id: Identifier


class ProgressError(Message):
    """Why the work failed."""

    error: Text = "failed"
    error_detail: dict[str, Any] | None = None

    @field_validator("error_detail")
    @classmethod
    def _bounded(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        return bounded(value)


class FailProgress(ProgressError):
    """`progress.fail`: ends it with an error; it can be resumed."""

    progress_id: Identifier


class ProgressReason(Message):
    """Why somebody intervenes, for the record."""

    reason: Text | None = None


class CancelProgress(ProgressReason):
    """`progress.cancel`: ends it because nobody wants it any more."""

    progress_id: Identifier


class ResumeProgress(Message):
    """`progress.resume`: goes on where it failed or was cancelled; the answer has the newest checkpoint."""

    progress_id: Identifier


class ProgressCheckpoint(Message):
    """What the caller needs to go on from here: at most 64 KiB of JSON."""

    checkpoint: Any

    @field_validator("checkpoint")
    @classmethod
    def _bounded(cls, value: Any) -> Any:
        return bounded(value)


class CheckpointProgress(ProgressCheckpoint):
    """`progress.checkpoint`: stores what the caller needs to go on from here."""

    progress_id: Identifier


class RemoveProgress(ProgressReason):
    """`progress.remove`: takes it out of the read model; the log keeps it."""

    progress_id: Identifier


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
    """The parts of a progress, by how they stand."""

    mode: Literal["mean", "count"]
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
    """It goes on after it failed or was cancelled, from the checkpoint that the caller had stored."""

    checkpoint: Any = None


class ProgressChildReported(_Moved):
    """A part of it stands somewhere else now."""

    child_id: str
    child_weight: float
    child_status: str
    child_progress: float
    child_version: int
    rate: float | None = None


class ProgressCheckpointed(Fact):
    checkpoint: Any = None


class ProgressStalled(Fact):
    """Nothing was heard of it for `after` seconds, `since` that time."""

    after: float
    since: datetime


class ProgressRemoved(Fact):
    reason: str | None = None


def bounded(value: T) -> T:
    """The value, if it has no more than 64 KiB of JSON.

    Raises:
        ValueError: it has more, or is no JSON.
    """
    size = len(to_json(value, inf_nan_mode="constants"))
    if size > MAX_DATA_BYTES:
        raise ValueError(f"has {size} bytes; {MAX_DATA_BYTES} are allowed, store more elsewhere")
    return value


def shown(state: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """A progress as it is read now: the recorded state, and how long it will take from now on."""
    view = {name: value for name, value in state.items() if name != "removed"}
    rate, eta = state["rate"], None
    if rate and state["status"] == ProgressStatus.PROCESSING and state["stalled_at"] is None:
        passed = (now - state["updated_at"]).total_seconds()
        eta = max(0.0, (100.0 - state["progress"]) / rate - passed)
    return view | {"eta": eta}


COMMANDS: dict[str, type[Message]] = {
    "progress.create": CreateProgress,
    "progress.update": UpdateProgress,
    "progress.advance": AdvanceProgress,
    "progress.complete": CompleteProgress,
    "progress.fail": FailProgress,
    "progress.cancel": CancelProgress,
    "progress.resume": ResumeProgress,
    "progress.checkpoint": CheckpointProgress,
    "progress.remove": RemoveProgress,
}
QUERIES: dict[str, type[Message]] = {"progress.get": GetProgress, "progress.list": ListProgress}
EVENTS: dict[str, type[Fact]] = {
    "progress.created": ProgressCreated,
    "progress.updated": ProgressUpdated,
    "progress.stage_changed": ProgressStageChanged,
    "progress.completed": ProgressCompleted,
    "progress.failed": ProgressFailed,
    "progress.cancelled": ProgressCancelled,
    "progress.resumed": ProgressResumed,
    "progress.child_reported": ProgressChildReported,
    "progress.checkpointed": ProgressCheckpointed,
    "progress.stalled": ProgressStalled,
    "progress.removed": ProgressRemoved,
}
