"""What every carrier of samples does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from domain.live import Sample, Samples

DEADLINE = 60.0
OBSERVED_AT = datetime(2026, 2, 3, 4, 5, 6, 7_000, UTC)


class Ears:
    """A listener that remembers what it has heard."""

    def __init__(self) -> None:
        self.heard: list[Sample] = []
        self._rung = asyncio.Event()

    def __call__(self, sample: Sample) -> None:
        self.heard.append(sample)
        self._rung.set()

    async def until(self, holds: Callable[[list[Sample]], bool]) -> None:
        """Waits until what was heard is as wanted."""
        async with asyncio.timeout(DEADLINE):
            while not holds(self.heard):
                self._rung.clear()
                await self._rung.wait()


def at(percent: int, subject: str = "upload-1") -> Sample:
    return Sample("acme", "progress.update", subject, {"progress": percent}, f"{subject}-{percent}", OBSERVED_AT)


class SamplesContract:
    """The fixture `samples` is a running `Samples` that nobody else uses."""

    async def test_a_listener_hears_each_subjects_newest_sample(self, samples: Samples) -> None:
        ears = Ears()
        samples.listen(ears)
        for percent in range(1_000):
            samples.emit(at(percent % 100))
        samples.emit(at(7, "upload-2"))
        await ears.until(lambda heard: at(99) in heard and at(7, "upload-2") in heard)
        assert len(ears.heard) < 1_000

    async def test_who_does_not_listen_any_more_hears_nothing(self, samples: Samples) -> None:
        gone, staying = Ears(), Ears()
        unlisten = samples.listen(gone)
        samples.listen(staying)
        unlisten()
        unlisten()
        samples.emit(at(5))
        await staying.until(bool)
        assert gone.heard == []

    async def test_a_listener_that_fails_harms_no_other(self, samples: Samples) -> None:
        def failing(sample: Sample) -> None:
            raise ZeroDivisionError

        ears = Ears()
        samples.listen(failing)
        samples.listen(ears)
        samples.emit(at(5))
        await ears.until(lambda heard: heard == [at(5)])
