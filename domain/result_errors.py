"""Refusals about results that are too large for the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from domain.errors import Refusal

PATH_SETTING = "modules.jobs.storage.path"
LIMIT_SETTING = "modules.jobs.results.max_bytes"


class NoResultStorage(Refusal):
    """Raised when a large result is uploaded and there is nowhere to put it."""

    code: ClassVar[str] = "no-storage"

    def __init__(self) -> None:
        super().__init__(
            "results of more than 1,000,000 bytes go to the object storage, and none is configured; set "
            f"{PATH_SETTING} to a folder that all processes of the service share"
        )


class ResultTooLarge(Refusal):
    """Raised when a result has more bytes than are ever kept."""

    code: ClassVar[str] = "too-large"

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"the result has {size} bytes, at most {limit} are kept ({LIMIT_SETTING})")
        self.size, self.limit = size, limit


class ResultIncomplete(Refusal):
    """Raised when an attempt reports a result whose parts are not in the storage as it says; nothing was recorded."""

    code: ClassVar[str] = "result-incomplete"

    def __init__(self, missing: Sequence[str], of: int) -> None:
        super().__init__(
            f"{len(missing)} of the result's {of} parts are not in the storage in the size that is said, first "
            f"{missing[0]}; upload them with this attempt, then report it again"
        )
        self.missing, self.of = tuple(missing), of


class PartDamaged(Refusal):
    """Raised when a part is not what its sender says; nothing was stored."""

    code: ClassVar[str] = "invalid"

    def __init__(self) -> None:
        super().__init__(
            "content: it is not base64 of at most 512 KiB that has the SHA-256 it is said to have; send it again"
        )


class NoSuchJob(Refusal):
    """Raised when there is no such job in the caller's tenant."""

    code: ClassVar[str] = "not-found"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is no job {job_id!r}")
        self.job_id = job_id


class NoResult(Refusal):
    """Raised when a result is read of a job that has not completed."""

    def __init__(self, status: str) -> None:
        super().__init__(f"the job has no result: it is {status}")
        self.status = status


class NoSuchPart(Refusal):
    """Raised when a part is read that the result does not have."""

    code: ClassVar[str] = "not-found"

    def __init__(self, part: int, parts: int) -> None:
        super().__init__(f"the result has no part {part}; it has {parts}, counted from 0")
        self.part, self.parts = part, parts


class ResultLost(Refusal):
    """Raised when the storage does not have what the log says, or something else in its place."""

    code: ClassVar[str] = "internal"
