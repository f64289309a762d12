"""What a job costs when the tables are full of finished ones, beside tables that are nearly empty."""

from __future__ import annotations

import dataclasses
import statistics
import time

import psycopg

from benchmarks.arena import Arena, Contender
from benchmarks.options import Options
from benchmarks.servers import Servers
from benchmarks.workloads.throughput import SETTLE_SECONDS, Figures, complete, measured

TEMPLATE = 1_000
FEW = 10_000
PAIRS = 5
PROCESSES = ("client", "worker", "service", "postgres")
# Whole histories of jobs that really ran, under ids, positions and commands of their own.
MULTIPLY = """
INSERT INTO stored_events
SELECT originator_id || '-' || k, originator_version, topic, state, notification_id + k * {head}, gen_random_uuid(),
       event_type, kind, subject || '-' || k, tenant, company, correlation_id || '-' || k, causation_id, metadata,
       recorded_at
  FROM stored_events, generate_series(1, {copies}) AS k ORDER BY k, notification_id;
INSERT INTO inbox
SELECT tenant, principal, command_id || '-' || k, body_hash, answer, position + k * {head}, recorded_at
  FROM inbox, generate_series(1, {copies}) AS k;
INSERT INTO jobs (tenant, id, position, version, name, data, queue, priority, timeout, company, correlation_id,
       created_at, status, attempts, max_attempts, run_at, started_at, completed_at, failed_at, worker, result, error,
       dead_lettered)
SELECT tenant, id || '-' || k, position + k * {head}, version, name, data, queue, priority, timeout, company,
       correlation_id || '-' || k, created_at, status, attempts, max_attempts, run_at, started_at, completed_at,
       failed_at, worker, result, error, dead_lettered
  FROM jobs, generate_series(1, {copies}) AS k ORDER BY k, position;
UPDATE job_counts SET n = n * ({copies} + 1);
UPDATE store SET head = {head} * ({copies} + 1);
UPDATE readers SET position = {head} * ({copies} + 1);
"""


def finished(contender: Contender, servers: Servers, options: Options) -> Figures:
    """CPU and time per job with `options.finished` finished jobs, each divided by the same with 10,000, in turn."""
    few, many = (_named(contender, name) for name in ("few", "many"))
    _fill(few, servers, FEW)
    _fill(many, servers, options.finished)
    rounds: dict[str, list[Figures]] = {"few": [], "many": []}
    for number in range(PAIRS):
        order = (("few", few), ("many", many)) if number % 2 == 0 else (("many", many), ("few", few))
        for name, each in order:
            rounds[name].append(_measured(each, servers, options))
    pairs = list(zip(rounds["few"], rounds["many"], strict=True))
    return {
        "finished_few": statistics.median(figures["end_to_end"] for figures in rounds["few"]),
        "finished_many": statistics.median(figures["end_to_end"] for figures in rounds["many"]),
        "finished_few_cpu": statistics.median(_cpu(figures) for figures in rounds["few"]),
        "finished_many_cpu": statistics.median(_cpu(figures) for figures in rounds["many"]),
        "finished_cpu_ratio": statistics.median(_cpu(late) / _cpu(early) for early, late in pairs),
        "finished_time_ratio": statistics.median(early["end_to_end"] / late["end_to_end"] for early, late in pairs),
    }


def _named(contender: Contender, name: str) -> Contender:
    """The same system with a database of its own."""
    entry = contender.entry
    return dataclasses.replace(contender, entry=dataclasses.replace(entry, name=f"{entry.name}-{name}"))


def _fill(contender: Contender, servers: Servers, jobs: int) -> None:
    with Arena(contender, servers) as arena:
        observer = arena.observer("wait", 0, TEMPLATE, TEMPLATE)
        arena.worker()
        arena.step("enqueue", 0, TEMPLATE)
        complete(arena.finish(observer))
    with psycopg.connect(servers.database(contender.entry.name), autocommit=True) as connection:
        with connection.transaction():
            row = connection.execute("SELECT head FROM store").fetchone()
            assert row is not None
            connection.execute(MULTIPLY.format(head=row[0], copies=jobs // TEMPLATE - 1))
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def _measured(contender: Contender, servers: Servers, options: Options) -> Figures:
    with psycopg.connect(servers.database(contender.entry.name), autocommit=True) as connection:
        row = connection.execute("SELECT head FROM store").fetchone()
        assert row is not None
    with Arena(contender, servers, keep=True, variables={"BENCH_AFTER": str(row[0])}) as arena:
        arena.worker()
        complete(arena.step("warm", options.jobs))
        time.sleep(SETTLE_SECONDS)
        return measured(arena, options.jobs)


def _cpu(figures: Figures) -> float:
    """Without the broker's, which may serve others too."""
    return sum(figures[f"cpu_{process}"] for process in PROCESSES)
