"""What the flusher knows of the claims that are held."""

from __future__ import annotations

from typing import Any, Protocol

import asyncpg

from adapters.postgres.rows import BatchRows
from domain.ports import RecordedEvent


class Claimants(Protocol):
    """The claims that are held, which want what has just become ready."""

    def wants(self, lanes: set[tuple[str, str]], left: set[tuple[str, str]]) -> bool: ...

    def rows(self) -> ServedClaims: ...

    def stir(self) -> None: ...


class ServedClaims(Protocol):
    """The claims that take part in one flush; one of the two methods is called when it is over."""

    @property
    def parameters(self) -> list[Any]: ...

    def granted(self, flush: asyncpg.Record, rows: BatchRows) -> list[RecordedEvent]: ...

    def failed(self) -> None: ...
