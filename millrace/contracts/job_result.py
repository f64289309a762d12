"""Results that are too large for a message, on the wire: uploaded in parts by the attempt, read part by part."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from millrace.contracts.job_fields import AttemptNumber
from millrace.contracts.wire import Fact, Identifier, Message

# What a job whose result is in the storage has in its place: `{"$stored": {"sha256": …, "size": …, …}}`.
STORED = "$stored"
MAX_INLINE_BYTES = 1_000_000
# A part in base64 fits into a message, and nobody holds more than one of a result at a time.
PART_BYTES = 524_288
PART_CHARS = (PART_BYTES + 2) // 3 * 4
MAX_PARTS = 512
MAX_RESULT_BYTES = PART_BYTES * MAX_PARTS
DEFAULT_MAX_BYTES = 67_108_864

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
ContentType = Literal["application/json"]


class Part(Message):
    """One part of a result; `size` in bytes."""

    sha256: Digest
    size: Annotated[int, Field(ge=1, le=PART_BYTES)]


class StoredResult(Message):
    """Where a result is and what it must be.

    Attributes:
        sha256: of the whole.
        size: bytes of the whole.
        parts: in their order; each was uploaded by the attempt that reports them.
    """

    sha256: Digest
    size: Annotated[int, Field(ge=1, le=MAX_RESULT_BYTES)]
    content_type: ContentType = "application/json"
    parts: Annotated[tuple[Part, ...], Field(min_length=1, max_length=MAX_PARTS)]

    @model_validator(mode="after")
    def _whole(self) -> StoredResult:
        if sum(part.size for part in self.parts) != self.size:
            raise ValueError("the sizes of the parts do not add up to `size`")
        return self


class Upload(Message):
    """`job.upload`: stores one part of the running attempt's result. A part that comes twice is stored once.

    Attributes:
        total: bytes of the whole result, so that one that is too large is refused at its first part.
        sha256: of this part.
        content: this part in base64, at most 512 KiB of it.
    """

    job_id: Identifier
    attempt: AttemptNumber
    total: Annotated[int, Field(ge=1)]
    sha256: Digest
    content: Annotated[str, Field(min_length=4, max_length=PART_CHARS)]


class Uploaded(Fact):
    """Answer to `job.upload`: the part as it is stored."""

    sha256: str
    size: int


class GetResult(Message):
    """Query `job.result`: one part of a completed job's result, counted from 0."""

    job_id: Identifier
    part: Annotated[int, Field(ge=0, lt=MAX_PARTS)] = 0


class ResultPart(Fact):
    """Answer to `job.result`; a result that is not in the storage has one part.

    Attributes:
        parts: how many there are.
        content: this part in base64, checked against its hash.
        sha256: of the whole.
        size: bytes of the whole.
    """

    part: int
    parts: int
    content: str
    sha256: str
    size: int
    content_type: str


def stored_of(result: Any) -> StoredResult | None:
    """Where a result is, None where it is the result itself."""
    if not isinstance(result, dict) or result.keys() != {STORED}:
        return None
    return StoredResult.model_validate(result[STORED])
