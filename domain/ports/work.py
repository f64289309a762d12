"""Claims, leases and what waits to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from domain.ports.jobs import BatchCounts, Orphan, Unwanted


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """A worker's wish for jobs, held until something is ready or `deadline` (monotonic seconds) passes.

    Attributes:
        tenant: whose the worker is, and whose jobs it wants unless there are `tenants`.
        tenants: whose jobs it wants, in fair shares; `("*",)` is all tenants.
    """

    tenant: str
    worker: str
    queues: tuple[str, ...]
    slots: int
    wait: float
    tenants: tuple[str, ...] = ()


class GrantedJob(NamedTuple):
    """One job that a claim received: `task` is the JSON text from its `Work` row."""

    job_id: str
    attempt: int
    task: str
    tenant: str


@dataclass(frozen=True, slots=True)
class Granted:
    jobs: Sequence[GrantedJob] = ()
    held: float = 0.0


class WorkQueue(Protocol):
    """Claims and leases: who runs which attempt, and until when."""

    async def claim(self, request: ClaimRequest) -> Granted:
        """Waits for work and grants it: the `Started` events are durable when this returns.

        Cancelling the call before it returns grants nothing, or hands back what was granted.
        """
        ...

    async def renew(
        self, tenant: str, worker: str, attempts: Mapping[tuple[str, int], str | None]
    ) -> list[tuple[str, int]]:
        """Confirms and extends leases; returns the (job id, attempt) pairs that are no longer valid.

        Args:
            attempts: for each pair what the attempt tells of itself, as JSON text, or None where that is nothing new.
        """
        ...

    async def withdraw(self, tenant: str, worker: str) -> None:
        """Ends the worker's held claims, in whichever process they are held; it gets no grant any more."""
        ...

    async def beat(self) -> None:
        """Workers can reach this process now. After a time in which none could say so, every lease begins anew."""
        ...

    async def lapsed(self, limit: int) -> list[LapsedLease]:
        """Leases that have lapsed by the database clock; none while renewals could not be served."""
        ...

    async def orphans(self, limit: int) -> list[Orphan]:
        """Waiting jobs that are to be cancelled because one that they wait for has failed."""
        ...

    async def batches(self, limit: int) -> list[BatchCounts]:
        """Sealed batches whose jobs have all ended and that have not been told so."""
        ...

    async def unwanted(self, limit: int) -> list[Unwanted]:
        """Unfinished jobs of cancelled batches."""
        ...

    async def move_due(self) -> float | None:
        """Moves waiting jobs that are due into the ready rows; returns seconds until the next is due, if any."""
        ...


@dataclass(frozen=True, slots=True)
class LapsedLease:
    tenant: str
    job_id: str
    attempt: int
    worker: str
    confirmed: bool


class WaitingJobs(Protocol):
    """The jobs that wait, ready or not, read from where the claims look."""

    async def newest(self) -> int:
        """The position of the newest event."""
        ...

    async def some(self, tenant: str, queue: str, until: int, limit: int) -> list[str]:
        """The ids of some jobs that wait in the queue and came there up to position `until`."""
        ...
