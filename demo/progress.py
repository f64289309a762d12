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

EVERY = 0.25
PLAIN_EVERY = 2.0


class TooSlow(Exception):
    """Raised when jobs are still open at the deadline; carries the last counts."""


async def until_done(app: Millrace, console: Console, jobs: int, deadline: float) -> None:
    """Shows the counts until all have ended.

    Args:
        jobs: how many there are.
        deadline: seconds to wait at most.

    Raises:
        TooSlow: jobs are still open after that.
    """
    begin = time.monotonic()
    if not console.is_terminal:
        await _poll(
            app, jobs, begin + deadline, PLAIN_EVERY, lambda stats: console.print(_line(stats, begin), soft_wrap=True)
        )
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        draw = partial(_draw, live, begin)
        await _poll(app, jobs, begin + deadline, EVERY, draw)


async def _poll(app: Millrace, jobs: int, end: float, every: float, show: Callable[[Stats], None]) -> None:
    shown = 0.0
    while True:
        stats = await app.jobs.stats()
        done = stats.completed + stats.failed + stats.cancelled >= jobs
        if done or time.monotonic() - shown >= every:
            shown = time.monotonic()
            show(stats)
        if done:
            return
        if time.monotonic() > end:
            raise TooSlow(f"jobs are still open: {stats.model_dump()}")
        await asyncio.sleep(EVERY)


def _line(stats: Stats, begin: float) -> str:
    counts = ", ".join(f"{name} {count}" for name, count in stats.model_dump().items() if count)
    return f"{time.monotonic() - begin:5.1f} s  {counts}"


def _draw(live: Live, begin: float, stats: Stats) -> None:
    table = Table("time", *Stats.model_fields)
    table.add_row(f"{time.monotonic() - begin:.1f} s", *(str(count) for count in stats.model_dump().values()))
    live.update(table, refresh=True)
