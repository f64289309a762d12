"""Enqueue alone and drain alone; end to end, with the CPU time of every process; latency."""

from __future__ import annotations

import statistics
import time
from typing import Any

import psycopg

from benchmarks.arena import Arena, Contender, StepFailed
from benchmarks.options import Options
from benchmarks.registry import OURS
from benchmarks.servers import Servers
from benchmarks.usage import ServerUsage, cpu_of, spent, tree
from benchmarks.workloads.profile import profile
from benchmarks.workloads.quantiles import quantile

SETTLE_SECONDS = 1.0
Figures = dict[str, float]


def enqueue_and_drain(contender: Contender, servers: Servers, options: Options) -> Figures:
    """Jobs a second: enqueued with no worker running, then from the first handler's start to the last recorded end."""
    count = min(options.jobs, contender.entry.jobs)
    with Arena(contender, servers) as arena:
        sent = arena.step("enqueue", 0, count)
        observer = arena.observer("wait", 0, count, count)
        arena.worker()
        ended = complete(arena.finish(observer))
        return {
            "enqueue": rate(count, sent["start"], sent["end"]),
            "drain": rate(count, ended["first"], ended["end"]),
        }


def end_to_end(contender: Contender, servers: Servers, options: Options) -> Figures:
    """Jobs a second from the first enqueue call to the last recorded end, with the worker already running."""
    count = min(options.jobs, contender.entry.jobs)
    with Arena(contender, servers) as arena:
        arena.worker()
        complete(arena.step("warm", count))
        time.sleep(SETTLE_SECONDS)
        figures = measured(arena, count)
        analyze(arena.database)
        time.sleep(SETTLE_SECONDS)
        found = complete(arena.step("latency", count + 1, options.latency_jobs, float(options.rate)))
        if contender.entry.name == OURS:
            figures |= profile(arena.database, found["jobs"])
        return figures | latency(found)


def analyze(database: str) -> None:
    """Brings the planner's statistics up to date, as the server does by itself within a minute. Without them it takes a
    table that was filled a second ago for an empty one, and answers a question about one job by reading them all."""
    with psycopg.connect(database, autocommit=True, application_name="bench-observer") as connection:
        connection.execute("ANALYZE")


def measured(arena: Arena, count: int, first: int = 0, recorded: int = 1) -> Figures:
    """The end-to-end run itself. `recorded`: final statuses that are there already."""
    usage = ServerUsage(arena.database, arena.servers.amqp)
    observer = arena.observer("wait", first, count, count + recorded)
    before, postgres, broker = _cpu(arena), usage.postgres(), usage.broker()
    sent = arena.step("enqueue", first, count)
    ended = complete(arena.finish(observer))
    after = _cpu(arena)
    budget = {
        "client": sent["cpu"],
        "worker": after[0] - before[0],
        "service": after[1] - before[1],
        "postgres": spent(postgres, usage.postgres()),
        "rabbitmq": usage.broker() - broker,
    }
    return {
        "end_to_end": rate(count, sent["start"], ended["end"]),
        "end_to_end_published": rate(count, sent["start"], max(ended["end"], ended["published"])),
        **{f"cpu_{process}": seconds * 1e3 / count for process, seconds in budget.items()},
    }


def latency(found: dict[str, Any]) -> Figures:
    """Milliseconds from the enqueue call to the handler's start, and until the result can be read."""
    figures: Figures = {}
    for kind in ("call", "start", "visible"):
        if found[kind]:
            figures[f"latency_{kind}_p50"] = statistics.median(found[kind])
            figures[f"latency_{kind}_p99"] = quantile(found[kind], 0.99)
    return figures


def complete(found: dict[str, Any]) -> dict[str, Any]:
    """The step's result.

    Raises:
        StepFailed: some jobs did not come to their end in time, or ran twice.
    """
    if not found["complete"]:
        raise StepFailed(f"not every job came to its end: {_short(found)}")
    if found.get("ran_twice"):
        raise StepFailed(f"{found['ran_twice']} jobs ran twice")
    return found


def rate(count: int, start: int, end: int) -> float:
    return count / ((end - start) / 1e9)


def _cpu(arena: Arena) -> tuple[float, float]:
    workers = [process for worker in arena.workers for process in tree(worker.pid)]
    serving = [process for service in arena.serving for process in tree(service.pid)]
    return cpu_of(workers), cpu_of(serving)


def _short(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if not isinstance(value, list)}
