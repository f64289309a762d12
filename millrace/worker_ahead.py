"""How many jobs a worker claims beyond those it can run at once, so that short ones do not wait for the next claim."""

from __future__ import annotations

# What is claimed ahead should begin within this time, and is given back after the other.
AHEAD_SECONDS = 0.05
PATIENCE_SECONDS = 1.0
# So many times what runs at once may be held: enough that a batch of the shortest jobs is worth its way.
MOST_TIMES = 8
WEIGHT = 0.05


class Ahead:
    """Claims ahead only while handlers are over in a moment; what takes longer is left to workers with room.

    Args:
        concurrency: jobs at the same time.
    """

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._mean = PATIENCE_SECONDS

    def ended(self, seconds: float) -> None:
        """A handler took so long."""
        self._mean += (seconds - self._mean) * WEIGHT

    def misjudged(self) -> None:
        """A job that was claimed ahead has waited in vain: the handlers that run take longer than those before."""
        self._mean = PATIENCE_SECONDS

    def capacity(self) -> int:
        """How many jobs the worker may hold: those that run, and those that will within a moment."""
        times = AHEAD_SECONDS / max(self._mean, AHEAD_SECONDS / MOST_TIMES)
        return self._concurrency * (1 + min(int(times), MOST_TIMES - 1))
