"""The workloads by the names of the command line, and what each figure is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.arena import Contender
from benchmarks.options import Options
from benchmarks.servers import Servers
from benchmarks.workloads.append import append
from benchmarks.workloads.backlog import backlog
from benchmarks.workloads.claim import claim
from benchmarks.workloads.finished import finished
from benchmarks.workloads.http import http
from benchmarks.workloads.live import live
from benchmarks.workloads.live_browser import left_out
from benchmarks.workloads.log import relay_and_rebuild
from benchmarks.workloads.scale import scale
from benchmarks.workloads.throughput import end_to_end, enqueue_and_drain

Run = Callable[[Contender, Servers, Options], dict[str, float]]


@dataclass(frozen=True, slots=True)
class Workload:
    """A run that yields several figures.

    Attributes:
        figures: the names under which it can be asked for, and that its result may have.
        ours: only Millrace takes part.
        once: one round is enough.
        quick: it belongs to the short run.
        left_out: what of it cannot be measured on this machine, and why.
    """

    run: Run
    figures: tuple[str, ...]
    ours: bool = False
    once: bool = False
    quick: bool = True
    left_out: Callable[[], dict[str, str]] = dict


WORKLOADS = (
    Workload(enqueue_and_drain, ("enqueue", "drain")),
    Workload(end_to_end, ("end_to_end", "latency", "cpu", "profile")),
    Workload(append, ("append",), ours=True),
    Workload(relay_and_rebuild, ("relay", "rebuild"), ours=True),
    Workload(claim, ("claim",), ours=True),
    Workload(http, ("http",), ours=True),
    Workload(live, ("live",), ours=True, left_out=left_out),
    Workload(scale, ("four_workers",), quick=False),
    Workload(backlog, ("backlog", "memory"), once=True, quick=False),
    Workload(finished, ("finished",), ours=True, once=True, quick=False),
)
UNITS = {
    "enqueue": "jobs/s",
    "drain": "jobs/s",
    "end_to_end": "jobs/s",
    "cpu": "ms/job",
    "latency": "ms",
    "append": "events/s",
    "append_copy": "rows of both tables/s",
    "append_ratio": "×",
    "relay": "events/s",
    "rebuild": "events/s",
    "rebuild_python_cpu": "µs/event",
    "claim": "ms",
    "profile": "ms",
    "http": "ms",
    "http_rate": "requests/s",
    "http_share": "of the rate asked for",
    "http_errors": "answers",
    "http_generator_cpu": "cores",
    "http_cpu": "ms/request",
    "live": "ms",
    "live_browser": "ms",
    "live_rate": "deliveries/s",
    "live_bytes": "bytes/message",
    "live_cpu": "µs/delivery",
    "live_cpu_ratio": "× (a bare broadcast)",
    "four_workers": "jobs/s",
    "backlog": "jobs/s",
    "memory": "MB",
    "memory_worker_growth": "× (late ÷ early)",
    "memory_service_growth": "× (late ÷ early)",
    "finished": "jobs/s",
    "finished_few_cpu": "ms/job",
    "finished_many_cpu": "ms/job",
    "finished_cpu_ratio": "× (many ÷ few)",
    "finished_time_ratio": "× (many ÷ few)",
}


def unit(figure: str) -> str:
    """The unit of a figure, by its name or the longest beginning of it that is known."""
    known = max((name for name in UNITS if figure == name or figure.startswith(f"{name}_")), key=len, default="")
    return UNITS.get(known, "")


def chosen(names: list[str]) -> list[Workload]:
    """The workloads that yield the named figures; all where none is named.

    Raises:
        KeyError: there is no such figure.
    """
    for name in names:
        if not any(name in workload.figures for workload in WORKLOADS):
            raise KeyError(name)
    return [workload for workload in WORKLOADS if not names or set(names) & set(workload.figures)]
