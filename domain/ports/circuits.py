"""What is counted of attempts, and the circuit breakers that follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol


class AttemptCount(NamedTuple):
    """So many attempts of a name that started and ended at these times, to the second, in the same way."""

    tenant: str
    name: str
    started_at: datetime
    ended_at: datetime
    completed: bool
    number: int


class CircuitRow(NamedTuple):
    """A circuit as the claims know it; `is_due` when its pause is over."""

    tenant: str
    name: str
    state: str
    enabled: bool
    is_due: bool


class CircuitSum(NamedTuple):
    """What has been counted within a circuit's window since it last changed; `policy` is None where the file has it."""

    tenant: str
    name: str
    state: str
    policy: dict[str, Any] | None
    completed: int
    failed: int


class CircuitBook(Protocol):
    """What all processes together know of circuits."""

    async def circuits(self) -> list[CircuitRow]:
        """All of them."""
        ...

    async def add(self, counts: Sequence[AttemptCount]) -> None:
        """Counts attempts."""
        ...

    async def sums(self, windows: Mapping[str, float]) -> list[CircuitSum]:
        """What has been counted of each name that has a circuit, or a window in seconds by the configuration file."""
        ...

    async def let_through(self) -> None:
        """Has jobs that wait for a circuit become due, as far as it lets them through."""
        ...
