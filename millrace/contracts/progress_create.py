"""Creating a progress on the wire: its stages, its parts, what it is about."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from millrace.contracts.progress_fields import MAX_STAGES, Share, Silence, bounded
from millrace.contracts.wire import Identifier, Message, Name


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
