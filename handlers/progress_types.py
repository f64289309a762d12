"""What is laid down for a type of work: which metadata it has, and from which stage it may go to which."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from domain.errors import Refusal
from domain.progress import Progress

# (stage before or None, stage after, metadata); false, or a ValueError that says why, refuses.
Validator = Callable[[str | None, str, Mapping[str, Any]], bool | None]


class MetadataRefused(Refusal):
    """Raised when a progress is created with metadata that its type does not allow."""

    code = "invalid"

    def __init__(self, type: str, reason: str) -> None:
        super().__init__(f"metadata: {reason} (type {type!r})")
        self.type, self.reason = type, reason


class StageRefused(Refusal):
    """Raised when the type of a progress does not allow it to go from one stage to another."""

    def __init__(self, type: str, before: str | None, stage: str, reason: str) -> None:
        begins = "may not begin with" if before is None else f"may not go from {before!r} to"
        super().__init__(f"work of type {type!r} {begins} {stage!r}: {reason}")
        self.type, self.before, self.stage, self.reason = type, before, stage, reason


@dataclass(frozen=True)
class ProgressType:
    """One type of work.

    Attributes:
        objection: what is wrong with metadata, None where nothing is.
        transitions: the stages that each stage may be followed by; None where any later one will do.
        validator: is asked for each change of stage besides.
        stall_after: seconds, for those that say nothing themselves.
    """

    objection: Callable[[Mapping[str, Any]], str | None] | None = None
    transitions: Mapping[str, frozenset[str]] | None = None
    validator: Validator | None = None
    stall_after: float | None = None


@dataclass(frozen=True)
class ProgressTypes:
    """The types that the configuration names; any other type is as free as none.

    Attributes:
        stall_after: seconds, where neither the progress nor its type says any.
    """

    named: Mapping[str, ProgressType] = field(default_factory=dict)
    stall_after: float | None = None

    def silence_of(self, type: str | None) -> float | None:
        """Seconds of silence after which a progress that says nothing itself is stalled."""
        own = self._of(type).stall_after
        return self.stall_after if own is None else own

    def check_metadata(self, type: str | None, metadata: Mapping[str, Any]) -> None:
        """Raises `MetadataRefused` where the type does not allow the metadata."""
        objection = self._of(type).objection
        reason = None if objection is None else objection(metadata)
        if reason is not None:
            raise MetadataRefused(str(type), reason)

    def check_stage(self, progress: Progress, stage: str | None) -> None:
        """Raises `StageRefused` where the type does not allow the stage to follow."""
        if stage is None or stage == progress.stage:
            return
        own, before = self._of(progress.type), progress.stage
        if own.transitions is not None and before is not None:
            allowed = own.transitions.get(before, frozenset())
            if stage not in allowed:
                reason = f"only {', '.join(sorted(allowed))} may follow" if allowed else "nothing may follow"
                raise StageRefused(str(progress.type), before, stage, reason)
        if own.validator is not None:
            try:
                allowed_ = own.validator(before, stage, progress.metadata)
            except ValueError as error:
                raise StageRefused(str(progress.type), before, stage, str(error)) from error
            if allowed_ is False:
                raise StageRefused(str(progress.type), before, stage, "its validator does not allow it")

    def _of(self, type: str | None) -> ProgressType:
        return self.named.get(type or "", FREE)


FREE = ProgressType()
