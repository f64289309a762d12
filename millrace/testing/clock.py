"""Time as a test has it: it stands still until somebody moves it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class VirtualClock:
    """The time of an in-memory service. Delayed jobs and retries become due by it alone, never by waiting.

    Args:
        start: with a zone; default the machine's time, at which the clock then stands still.

    Raises:
        ValueError: `start` has no zone.
    """

    def __init__(self, start: datetime | None = None) -> None:
        if start is not None and start.tzinfo is None:
            raise ValueError("`start` needs a time zone, for example datetime(2030, 1, 1, tzinfo=UTC)")
        self._now = (start or datetime.now(UTC)).astimezone(UTC)
        self._listeners: list[Callable[[], None]] = []

    def now(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        """Moves on by `seconds`. What became due is run by the next `run_jobs`, or by a worker at once.

        Raises:
            ValueError: fewer than 0 seconds.
        """
        self.move_to(self._now + timedelta(seconds=seconds))

    def move_to(self, time: datetime) -> None:
        """Moves on to `time`.

        Raises:
            ValueError: it lies in the past.
        """
        if time < self._now:
            raise ValueError(f"time does not go back, from {self._now.isoformat()} to {time.isoformat()}")
        self._now = time.astimezone(UTC)
        for listener in self._listeners:
            listener()

    def on_move(self, listener: Callable[[], None]) -> None:
        """Has `listener` called after each move."""
        self._listeners.append(listener)
