"""The values that the progress of long work is made of on the wire."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, TypeVar

from pydantic import Field
from pydantic_core import to_json

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


def bounded(value: T) -> T:
    """The value, if it has no more than 64 KiB of JSON.

    Raises:
        ValueError: it has more, or is no JSON.
    """
    size = len(to_json(value, inf_nan_mode="constants"))
    if size > MAX_DATA_BYTES:
        raise ValueError(f"has {size} bytes; {MAX_DATA_BYTES} are allowed, store more elsewhere")
    return value
