"""Samples within one process. To others, where there are any, `adapters/amqp/samples.py` carries them, or without a
broker `adapters/postgres/samples.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from domain.live import Sample

MOST_WAITING = 10_000
PAUSE_SECONDS = 0.05
log = structlog.get_logger("samples")


class Newest:
    """The newest sample of each key, in the order of their keys' first; bounded.

    Attributes:
        left_out: how many had to go for want of room.
    """

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._most = most
        self._waiting: dict[tuple[str, str, str], Sample] = {}
        self.left_out = 0

    def put(self, sample: Sample) -> None:
        self._waiting[sample.key] = sample
        if len(self._waiting) > self._most:
            del self._waiting[next(iter(self._waiting))]
            self.left_out += 1

    def pop(self) -> Sample | None:
        """The one that has waited longest, which then waits no longer; None where none does."""
        return self._waiting.pop(next(iter(self._waiting))) if self._waiting else None

    def take(self) -> list[Sample]:
        """All of them, which then wait no longer."""
        taken, self._waiting = list(self._waiting.values()), {}
        return taken


class LocalSamples:
    """Implements `domain.live.Samples` for one process: what is emitted reaches its own listeners, the newest of each
    subject at most every `pause` seconds."""

    def __init__(self, pause: float = PAUSE_SECONDS, most: int = MOST_WAITING) -> None:
        self._pause, self._waiting = pause, Newest(most)
        self._listeners: list[Callable[[Sample], None]] = []
        self._next = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def left_out(self) -> int:
        return self._waiting.left_out

    @property
    def heard(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    def emit(self, sample: Sample) -> None:
        if not self._listeners:
            return
        self._waiting.put(sample)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(loop.time(), self._next), self._deliver)

    def listen(self, hear: Callable[[Sample], None]) -> Callable[[], None]:
        self._listeners.append(hear)

        def unlisten() -> None:
            if hear in self._listeners:
                self._listeners.remove(hear)

        return unlisten

    def tell(self, sample: Sample) -> None:
        """Shows the listeners a sample now."""
        for hear in tuple(self._listeners):
            try:
                hear(sample)
            except Exception:
                log.exception("listener failed", action="sample_listener_failed", type=sample.type)

    def _deliver(self) -> None:
        self._timer = None
        self._next = asyncio.get_running_loop().time() + self._pause
        for sample in self._waiting.take():
            self.tell(sample)
