"""More workers, and more processes of the service."""

from __future__ import annotations

import time

from benchmarks.arena import Arena, Contender
from benchmarks.options import Options
from benchmarks.registry import OURS
from benchmarks.servers import Servers
from benchmarks.workloads.throughput import complete, measured

WORKERS = 4
START_SECONDS = 2.0


def scale(contender: Contender, servers: Servers, options: Options) -> dict[str, float]:
    """Jobs a second end to end with four workers; ours also with two processes of the service."""
    figures = {"four_workers": _measured(contender, servers, options, services=1)}
    if contender.entry.name == OURS:
        figures["four_workers_two_services"] = _measured(contender, servers, options, services=2)
    return figures


def _measured(contender: Contender, servers: Servers, options: Options, services: int) -> float:
    count = min(options.jobs, contender.entry.jobs)
    with Arena(contender, servers, services=services) as arena:
        for _ in range(WORKERS):
            arena.worker()
        complete(arena.step("warm", count))
        time.sleep(START_SECONDS)
        return measured(arena, count)["end_to_end_published"]
