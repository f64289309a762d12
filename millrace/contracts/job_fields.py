"""Values that several messages about jobs have: how they are written and what they mean."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, Field
from pydantic_core import to_json

from millrace.contracts.wire import Message

# In the data of a job that a schedule has started: the time that the run was due, in ISO 8601 and UTC.
SCHEDULED_FOR = "$scheduled_for"
MAX_CHECKPOINT_BYTES = 65_536
Seconds = Annotated[float, Field(ge=0, le=31_536_000 * 10, allow_inf_nan=False)]
PositiveSeconds = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]
Priority = Annotated[int, Field(ge=-100, le=100)]
Attempts = Annotated[int, Field(ge=1, le=1_000)]
ParentPolicy = Literal["cancel", "run", "wait"]
# The reasons of `job.why` by which jobs can be listed.
WaitReason = Literal["delayed", "retry", "dependent", "paused", "capped", "rate-limited", "circuit-open", "affinity"]
AttemptNumber = Annotated[int, Field(ge=1, le=2_147_483_647)]


def _bounded(value: Any) -> Any:
    size = len(to_json(value))
    if size > MAX_CHECKPOINT_BYTES:
        raise ValueError(f"a checkpoint has at most {MAX_CHECKPOINT_BYTES} bytes of JSON, this one has {size}")
    return value


CheckpointState = Annotated[Any, AfterValidator(_bounded)]


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("lies outside the years 1 to 9999 in UTC") from None


Time = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class JobStatus(StrEnum):
    """What a job is doing. A dead-lettered job is `failed`.

    `delayed` is what waits for its time, for a retry or for other jobs; once that is over it is `pending`.
    """

    PENDING = "pending"
    DELAYED = "delayed"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @classmethod
    def _missing_(cls, value: object) -> JobStatus | None:
        return cls.PROCESSING if value == "active" else None


class Retry(Message):
    """How long a failed attempt waits for the next one.

    Attributes:
        kind: `fixed` waits `delay` each time; `exponential` waits `delay * factor ** (attempt - 1)`; `none` never
            retries.
        delay: first wait, in seconds.
        factor: growth of an exponential wait.
        max_delay: longest wait, in seconds.
        jitter: share of the wait, 0 to 1, that is drawn at random so that retries do not come in herds.
    """

    kind: Literal["fixed", "exponential", "none"] = "exponential"
    delay: PositiveSeconds = 1.0
    factor: Annotated[float, Field(ge=1, le=10)] = 2.0
    max_delay: PositiveSeconds = 3_600.0
    jitter: Annotated[float, Field(ge=0, le=1)] = 0.1


def as_retry(value: object) -> object:
    """A policy that is given by the name of its kind."""
    return {"kind": value} if isinstance(value, str) else value
