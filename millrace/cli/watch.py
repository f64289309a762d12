"""`millrace watch`: what is going on, as it happens."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from millrace import Millrace
from millrace.cli.options import DEFAULT_URL, Json, Url, ask
from millrace.cli.output import detail, moment, print_json
from millrace.contracts.job import Stats
from millrace.contracts.log import CloudEvent

STATS_EVERY = 1.0
RECENT = 20


def watch(
    url: Url = DEFAULT_URL,
    pattern: Annotated[str, typer.Option(help="Topic pattern over event types: job.#, *.completed.")] = "#",
    as_json: Json = False,
) -> None:
    """Shows the counts by status and the newest events until Ctrl-C; with --json one line for each event."""
    ask(url, lambda app: _print_events(app, pattern) if as_json else _show(app, pattern))


async def _print_events(app: Millrace, pattern: str) -> None:
    async for event in app.events(pattern, after="head"):
        print_json(event)


async def _show(app: Millrace, pattern: str) -> None:
    recent: deque[CloudEvent] = deque(maxlen=RECENT)
    stats = await app.jobs.stats()
    if not sys.stdout.isatty():
        return await _print_events(app, pattern)

    async def follow() -> None:
        async for event in app.events(pattern, after="head"):
            recent.append(event)

    following = asyncio.create_task(follow())
    try:
        with Live(screen(stats, recent), console=Console(), auto_refresh=False) as live:
            while not following.done():
                stats = await app.jobs.stats()
                live.update(screen(stats, recent), refresh=True)
                await asyncio.wait({following}, timeout=STATS_EVERY)
    finally:
        following.cancel()
    return await following


def screen(stats: Stats, recent: deque[CloudEvent]) -> Group:
    """The counts above the newest events."""
    counts = Table(*Stats.model_fields)
    counts.add_row(*(str(value) for value in stats.model_dump().values()))
    events = Table("time", "event", "of", "data", expand=True)
    for event in recent:
        events.add_row(moment(event.time), event.eventtype, event.subject, Text(detail(event), overflow="ellipsis"))
    return Group(counts, events)
