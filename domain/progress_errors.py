"""Refusals about progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from domain.errors import Refusal


class ProgressExists(Refusal):
    """Raised when a progress is created under an id that another one has."""

    code = "already-exists"

    def __init__(self, id: str) -> None:
        super().__init__(
            f"there is a progress {id!r} with other options; choose another id, or repeat it with the same"
        )
        self.id = id


class NoSuchProgress(Refusal):
    """Raised when a progress is asked for something after it was removed."""

    code = "not-found"

    def __init__(self) -> None:
        super().__init__("the progress was removed")


class ProgressEnded(Refusal):
    """Raised when a progress that has ended is asked for what only an open one can do."""

    def __init__(self, status: str) -> None:
        hint = "" if status == "completed" else "; resume it first"
        super().__init__(f"the progress has already ended: it is {status}{hint}")
        self.status = status


class UnknownStage(Refusal):
    """Raised when an update names a stage that the progress does not have."""

    code = "invalid"

    def __init__(self, stage: str, known: Sequence[str]) -> None:
        has = f"it has {', '.join(known)}" if known else "it was created without stages"
        super().__init__(f"stage: there is no stage {stage!r}; {has}")
        self.stage, self.known = stage, tuple(known)


class NoStages(Refusal):
    """Raised when a progress without stages is to advance to the next one."""

    def __init__(self) -> None:
        super().__init__("the progress has no stages; create it with `stages`, or update its percent")


class NotFurther(Refusal):
    """Raised when a progress is to advance to a stage that does not lie behind the current one."""

    def __init__(self, stage: str, current: str) -> None:
        super().__init__(f"stage {stage!r} does not come after {current!r}, the current one; stages never go backwards")
        self.stage, self.current = stage, current


class ComputedFromChildren(Refusal):
    """Raised when a caller updates a progress that follows from its children."""

    def __init__(self) -> None:
        super().__init__("this progress follows from its children; update those")


class ProgressRing(Refusal):
    """Raised when a progress is created as a part of one that it is itself a part of, directly or not."""

    code = "progress-ring"

    def __init__(self, ring: Sequence[str]) -> None:
        shown = [*ring[:4], "…", *ring[-3:]] if len(ring) > 8 else ring
        super().__init__(f"parent_id: it would be a part of itself: {' → '.join(shown)}; choose another parent or none")
        self.ring = tuple(ring)

    @property
    def extra(self) -> Mapping[str, Any]:
        return {"ring": list(self.ring)}


class TooManyWholes(Refusal):
    """Raised when a progress is created below more others, one in the other, than are followed."""

    code = "invalid"

    def __init__(self, most: int) -> None:
        super().__init__(
            f"parent_id: a progress lies in {most} others at most, one in the other; choose one further up"
        )
        self.most = most


class TooManyChildren(Refusal):
    """Raised when a progress gets more children than one can follow."""

    def __init__(self, most: int) -> None:
        super().__init__(f"the progress has {most} children; group them under parents of their own")
        self.most = most
