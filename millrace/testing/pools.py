"""In which order a pool of workers serves several tenants: start-time fair queueing, as in the service's SQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

J = TypeVar("J")


class Shares:
    """How far each tenant of a pool has got.

    A tenant's next job starts, on a clock of its own that goes by 1 / weight with each job, where its last one ended,
    but not before the start of the newest job that the pool has taken: who had nothing to do saves nothing up. The job
    that starts first is next.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = weights
        self._passes: dict[str, float] = {}
        self._time = 0.0

    def take(self, tenants: Sequence[str], slots: int, next_of: Callable[[str], Sequence[J]]) -> list[tuple[str, J]]:
        """The next jobs with their tenants.

        Args:
            next_of: takes a tenant's next job, if there is one.
        """
        taken: list[tuple[str, J]] = []
        starts = {tenant: max(self._passes.get(tenant, 0.0), self._time) for tenant in tenants}
        while starts and len(taken) < slots:
            tenant = min(starts, key=lambda each: (starts[each], each))
            jobs = next_of(tenant)
            if not jobs:
                del starts[tenant]
                continue
            self._time = starts[tenant]
            starts[tenant] += 1 / self._weights.get(tenant, 1.0)
            self._passes[tenant] = starts[tenant]
            taken.append((tenant, jobs[0]))
        return taken
