"""How much memory a worker takes, so that one that has grown too large makes room for a fresh one."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from millrace.logs import Log

log = Log("millrace.worker")

LOOK_SECONDS = 1.0
# EX_TEMPFAIL of sysexits.h: whoever keeps a worker running starts another one.
EXIT_CODE = 75


def resident_bytes(children: Iterable[int] = ()) -> int:
    """What this process and these children have in memory; else, the most this one ever had."""
    try:
        return sum(_resident(str(process)) for process in ("self", *children))
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1_024


async def watch_memory(limit: int, children: Callable[[], Iterable[int]], exceeded: Callable[[], None]) -> None:
    """Calls `exceeded` once, as soon as more than `limit` bytes are taken."""
    while (taken := resident_bytes(children())) <= limit:  # noqa: ASYNC110 - nothing signals it
        await asyncio.sleep(LOOK_SECONDS)
    log.warning("worker takes too much memory and makes room for another", bytes=taken, limit=limit)
    exceeded()


def _resident(process: str) -> int:
    try:
        statm = Path(f"/proc/{process}/statm").read_text()
    except FileNotFoundError:
        if process != "self":
            # It has ended since.
            return 0
        raise
    return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")
