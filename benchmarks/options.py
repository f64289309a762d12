"""What a run consists of."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = Path(os.environ.get("BENCH_OUT", ROOT / "benchmarks" / "out"))


@dataclass(frozen=True, slots=True)
class Options:
    """How much of everything.

    Attributes:
        jobs: in each throughput run.
        latency_jobs: one at a time, at `rate` a second.
        backlog: jobs of the long queue and of the memory run.
        blocked: jobs that a claim must pass by.
        finished: rows of finished jobs in the full tables.
        events: of the log that is appended, relayed and rebuilt.
        http_seconds: how long `http_rate` requests a second go on.
        live_seconds: how long messages are broadcast to a thousand clients.
    """

    peers: tuple[str, ...]
    rounds: int = 3
    jobs: int = 5_000
    latency_jobs: int = 200
    rate: float = 20.0
    backlog: int = 100_000
    blocked: int = 100_000
    finished: int = 1_000_000
    events: int = 60_000
    http_rate: int = 1_000
    http_seconds: int = 10
    live_seconds: int = 10


def quick(peers: tuple[str, ...]) -> Options:
    """A run of less than five minutes."""
    return Options(peers, 2, 5_000, 60, backlog=10_000, finished=50_000, events=30_000, http_seconds=5)
