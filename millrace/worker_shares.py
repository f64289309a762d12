"""How a worker's free slots are shared among its queues, where some are to get more of it than others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping


class Shares:
    """Smooth weighted round-robin: over any stretch each queue gets its part, and none waits long for it.

    Raises:
        ValueError: a weight is not positive, or there is no queue.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        wrong = {queue: weight for queue, weight in weights.items() if not 0 < weight < float("inf")}
        if wrong or not weights:
            raise ValueError(f"queues need weights above 0, not {wrong or weights!r}")
        self._weights = dict(weights)
        self._total = sum(self._weights.values())
        self._credit = dict.fromkeys(self._weights, 0.0)

    def of(self, slots: int) -> Counter[str]:
        """How many of the next `slots` each queue gets."""
        shares: Counter[str] = Counter()
        for _ in range(slots):
            for queue, weight in self._weights.items():
                self._credit[queue] += weight
            chosen = max(self._credit, key=self._credit.__getitem__)
            self._credit[chosen] -= self._total
            shares[chosen] += 1
        return shares
