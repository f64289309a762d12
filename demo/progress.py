"""Live progress in the terminal; plain lines where there is none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

from rich.console import Console
from rich.live import Live
from rich.table import Table

from millrace import Millrace
from millrace.contracts.job import Stats
from millrace.contracts.progress import Progress, ProgressStatus

EVERY = 0.25
PLAIN_EVERY = 2.0
OPEN = (ProgressStatus.PENDING, ProgressStatus.PROCESSING)


class TooSlow(Exception):
    """Raised when jobs are still open at the deadline; carries the last counts."""


async def until_done(app: Millrace, console: Console, batch: str, jobs: int, deadline: float) -> Progress:
    """Shows the counts and the batch's progress until all have ended; returns how the batch's progress did.

    Args:
        batch: the id of the batch that most of them are in.
        jobs: how many there are.
        deadline: seconds to wait at most.

    Raises:
        TooSlow: jobs are still open after that.
    """
    begin = time.monotonic()
    if not console.is_terminal:

        def write(stats: Stats, whole: Progress) -> None:
            console.print(_line(stats, whole, begin), soft_wrap=True)

        return await _poll(app, batch, jobs, begin + deadline, PLAIN_EVERY, write)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        draw = partial(_draw, live, begin)
        return await _poll(app, batch, jobs, begin + deadline, EVERY, draw)


async def _poll(
    app: Millrace, batch: str, jobs: int, end: float, every: float, show: Callable[[Stats, Progress], None]
) -> Progress:
    shown = 0.0
    while True:
        stats, whole = await app.jobs.stats(), await app.progress.get(batch)
        assert whole is not None
        # The progress is told of the jobs once a second.
        done = stats.completed + stats.failed + stats.cancelled >= jobs and whole.status not in OPEN
        if done or time.monotonic() - shown >= every:
            shown = time.monotonic()
            show(stats, whole)
        if done:
            return whole
        if time.monotonic() > end:
            raise TooSlow(f"jobs are still open: {stats.model_dump()}")
        await asyncio.sleep(EVERY)


def _line(stats: Stats, whole: Progress, begin: float) -> str:
    counts = ", ".join(f"{name} {count}" for name, count in stats.model_dump().items() if count)
    return f"{time.monotonic() - begin:5.1f} s  {counts}; the batch {whole.progress:.0f} %{_left(whole)}"


def _left(whole: Progress) -> str:
    return "" if whole.eta is None else f", {whole.eta:.0f} s left"


def _draw(live: Live, begin: float, stats: Stats, whole: Progress) -> None:
    table = Table("time", *Stats.model_fields, "the batch")
    counts = (str(count) for count in stats.model_dump().values())
    table.add_row(f"{time.monotonic() - begin:.1f} s", *counts, f"{whole.progress:.0f} %{_left(whole)}")
    live.update(table, refresh=True)
