"""Which parts of results are in the object storage, so that none stays there that no job needs."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class AttemptParts(NamedTuple):
    """Parts that one attempt has uploaded: their hashes and sizes in bytes."""

    tenant: str
    job_id: str
    attempt: int
    parts: tuple[tuple[str, int], ...]


class ResultParts(Protocol):
    """The parts by attempt. What is noted here may be missing in the storage, but never the other way round."""

    async def note(self, tenant: str, job_id: str, attempt: int, sha256: str, size: int) -> int:
        """Notes a part before it is stored; returns how many bytes the attempt has uploaded with it."""
        ...

    async def due(self, age: float, limit: int) -> list[AttemptParts]:
        """Attempts whose parts were noted, or are to be looked at again, since `age` seconds; also those of jobs that
        were removed meanwhile."""
        ...

    async def look_later(self, attempt: AttemptParts, seconds: float) -> None:
        """Lets the attempt's parts be for so long, unless its job is removed."""
        ...

    async def forget(self, attempt: AttemptParts) -> None:
        """Strikes out these parts, which are not in the storage any more."""
        ...
