"""Updates of progress are samples: few of thousands are recorded, the last one always is, and all can be seen live.

Whether one is recorded follows from the last event's time, which all processes see; what a process keeps in memory is
the newest sample of each progress since then, for less than a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from domain.errors import Refusal
from domain.live import Sample, Samples
from domain.progress import Progress
from domain.progress_samples import Reached, Window, weigh
from handlers.persistence import persistently
from handlers.pipeline import Pipeline
from millrace.contracts.progress import UpdateProgress, shown
from millrace.contracts.wire import Accepted, Context, Refused, derived_id

RECORD = "progress.record"
TYPE = "progress.update"
HOLD_SECONDS = 0.8
LOOK_SECONDS = 0.1
MOST_HELD = 10_000
PAGE = 500


class Held(NamedTuple):
    """The furthest sample of a progress that is not recorded, and since when there is one (monotonic seconds)."""

    command: UpdateProgress
    context: Context
    progress: float
    since: float


class ProgressSamples:
    """Keeps samples until something is recorded, and shows them live."""

    def __init__(self, samples: Samples, window: Window, most: int = MOST_HELD) -> None:
        self._samples, self._window, self._most = samples, window, most
        self._held: dict[tuple[str, str], Held] = {}

    def glance(
        self, progress: Progress, command: UpdateProgress, context: Context, now: datetime
    ) -> dict[str, Any] | None:
        """The answer to a sample that is not to be recorded; None where it is, or there is no room to keep it."""
        try:
            reached = progress.reach(command.progress, command.stage)
        except Refusal:
            return None
        if (command.record and reached.news) or weigh(progress, reached, now, self._window) == "recorded":
            self._held.pop((context.tenant, command.progress_id), None)
            return None
        if reached.news and not self._hold(progress, reached, command, context, now):
            return None
        return _told(progress, command, now)

    def glance_at_last(
        self, progress: Progress, command: UpdateProgress, context: Context, now: datetime
    ) -> dict[str, Any] | None:
        """The answer to a kept sample that something has overtaken meanwhile; None where it is to be recorded."""
        try:
            news = progress.reach(command.progress, command.stage).news
        except Refusal:
            return None
        return None if news else _told(progress, command, now)

    async def run(self, pipeline: Pipeline) -> None:
        """Records what has waited long enough, until cancelled."""

        async def once() -> None:
            await self.record(pipeline, asyncio.get_running_loop().time() - HOLD_SECONDS)

        await persistently("samples", once, pause=LOOK_SECONDS)

    async def record(self, pipeline: Pipeline, until: float | None = None) -> None:
        """Records the samples that are kept since `until` (monotonic seconds) or longer; by default all."""
        due = [key for key, held in self._held.items() if until is None or held.since <= until]
        for start in range(0, len(due), PAGE):
            await self._record(pipeline, due[start : start + PAGE])

    async def _record(self, pipeline: Pipeline, keys: Sequence[tuple[str, str]]) -> None:
        taken = {key: held for key in keys if (held := self._held.pop(key, None)) is not None}
        answers = await pipeline.execute(RECORD, [(held.command, held.context) for held in taken.values()])
        for (key, held), answer in zip(taken.items(), answers, strict=True):
            match answer:
                case Refused(problem) if problem.code in ("unavailable", "conflict"):
                    self._held.setdefault(key, held)
                case Refused() | Accepted():
                    # Recorded, overtaken, or removed meanwhile: either way there is nothing left to keep.
                    continue

    def _hold(
        self, progress: Progress, reached: Reached, command: UpdateProgress, context: Context, now: datetime
    ) -> bool:
        key = (context.tenant, command.progress_id)
        known = self._held.get(key)
        if known is None and len(self._held) >= self._most:
            return False
        if known is not None and reached.progress <= known.progress:
            return True
        since = asyncio.get_running_loop().time() if known is None else known.since
        self._held[key] = Held(command, context, reached.progress, since)
        data = {
            "id": command.progress_id,
            "status": "processing",
            "progress": reached.progress,
            "stage": reached.stage,
            "stage_progress": reached.stage_progress,
            "rate": progress.rate_at(reached.progress, now),
            "seq": command.seq,
        }
        self._samples.emit(Sample(context.tenant, TYPE, command.progress_id, data, sample_id(context), now))
        return True


def sample_id(context: Context) -> str:
    """The id of the sample that a command is, the same wherever and however often the command arrives."""
    return derived_id(context.tenant, context.message_id, context.principal)


def _told(progress: Progress, command: UpdateProgress, now: datetime) -> dict[str, Any]:
    view = {"id": command.progress_id, "version": progress.version, **shown(progress.to_wire(), now)}
    return {"progress": view, "outcome": "sampled"}
