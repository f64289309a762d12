"""What may be told of a progress that is there."""

from __future__ import annotations

from typing import Any

from pydantic import field_validator

from millrace.contracts.progress_fields import Percent, Sequence, bounded
from millrace.contracts.wire import Identifier, Message, Name, Text


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
    """`progress.update`: a sample, of which at most one in a second is recorded; nothing ever goes backwards.

    Attributes:
        record: the work stops here, at least for a while: what leads further is recorded, however soon it comes.
    """

    progress_id: Identifier
    record: bool = False


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


class ProgressAttempt(Message):
    """Who goes on with the work.

    Attributes:
        new_attempt: another one than before, lost without a word; what passed since does not count into the rate.
    """

    new_attempt: bool = False


class ResumeProgress(ProgressAttempt):
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
