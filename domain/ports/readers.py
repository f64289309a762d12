"""Those who follow the log, and what wakes them."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from domain.ports.log import StreamName


class Readers(Protocol):
    """Positions of the log's readers, and which process leads each of them."""

    async def ensure(self, name: str, position: int = 0) -> None:
        """Adds a reader that begins at `position`; one that is there stays as it is."""
        ...

    async def position(self, name: str) -> int:
        """The position that the reader has saved."""
        ...

    async def advance(self, name: str, position: int) -> None:
        """Moves a reader forward; never back."""
        ...

    async def hold(self, name: str, stream: StreamName, position: int, error: str) -> None:
        """Notes that the reader goes on without a stream."""
        ...

    async def held_streams(self, name: str) -> set[str]:
        """The streams that the reader goes on without."""
        ...

    def leadership(self, name: str) -> AbstractAsyncContextManager[object]:
        """Waits until this process leads the reader; lasts as long as the context."""
        ...


class Clock(Protocol):
    """The database's time, as every process sees it."""

    def now(self) -> datetime: ...


class Doorbell(Protocol):
    """Wakes whoever tails the store. Ringing carries no data, and a missed ring only costs the polling interval."""

    async def wait(self, seen: int, timeout: float, kinds: Collection[str] | None = None, patience: float = ...) -> int:
        """Returns the newest known position once there are events after `seen`, or after `timeout` seconds.

        Args:
            kinds: the kinds of aggregates whose events are waited for; None for all.
            patience: for so many seconds events of other kinds are not worth coming back, unless they are thousands.
        """
        ...
