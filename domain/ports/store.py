"""The event store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from domain.aggregate import Aggregate
from domain.ports.appends import Append, Loaded, Outcome
from domain.ports.log import RecordedEvent, StreamName


class StoreUnavailable(Exception):
    """Raised when the store cannot be reached or an append's outcome is unknown; repeat it with the same keys."""


class StoreOverloaded(Exception):
    """Raised when more appends wait than the store takes in; slow down and repeat."""


class EventStore(Protocol):
    """The event store: the one place whose loss loses data."""

    async def append(self, appends: Sequence[Append]) -> list[Outcome]:
        """Stores each append or none of it, all in as few transactions as possible; one outcome for each, in order.

        Raises:
            StoreUnavailable: the outcome is unknown; repeat with the same keys.
        """
        ...

    async def load(self, streams: Sequence[StreamName]) -> dict[StreamName, Loaded]:
        """The aggregates' newest snapshots and the events since, for the streams that exist."""
        ...

    async def save_snapshot(self, stream: StreamName, aggregate: Aggregate) -> None:
        """Stores the aggregate's state so that later loads read fewer events; never needed for correctness."""
        ...

    async def history(
        self, stream: StreamName, after_version: int = 0, limit: int = 1_000, until: datetime | None = None
    ) -> list[RecordedEvent]:
        """One stream's events, oldest first."""
        ...

    async def read(self, after: int, limit: int) -> list[RecordedEvent]:
        """Events of all tenants after a position, in order, at most `limit`; a page may be shorter although there are
        more. An empty one is the end of the log."""
        ...

    async def head(self) -> int:
        """The newest position."""
        ...
