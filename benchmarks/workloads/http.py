"""Mixed requests over HTTP at a fixed rate, with the generator on the same cores."""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks.arena import Arena, Contender, StepFailed
from benchmarks.options import ROOT, Options
from benchmarks.servers import Servers
from benchmarks.usage import ServerUsage, cpu_of, spent, tree
from benchmarks.workloads.http_load import WARM

EXTRA_SECONDS = 60


def http(contender: Contender, servers: Servers, options: Options) -> dict[str, float]:
    """Milliseconds from when a request was due, not from when it was sent, so that waiting behind others counts.

    By one process of the service, and by two.
    """
    alone = _measured(contender, servers, options, services=1)
    pair = _measured(contender, servers, options, services=2)
    return alone | {f"{name}_two": value for name, value in pair.items()}


def _measured(contender: Contender, servers: Servers, options: Options, services: int) -> dict[str, float]:
    with Arena(contender, servers, services) as arena:
        command = [sys.executable, "-m", "benchmarks.workloads.http_load", ",".join(map(str, arena.ports))]
        command += [str(options.http_rate), str(options.http_seconds)]
        usage = ServerUsage(arena.database, servers.amqp)
        before, backends = _cpu(arena), usage.postgres()
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=options.http_seconds + EXTRA_SECONDS
        )
        if done.returncode:
            raise StepFailed(f"the load generator ended with {done.stderr.strip()[-300:]}")
        figures: dict[str, float] = json.loads(done.stdout)
        requests = options.http_rate * options.http_seconds + WARM
        return figures | {
            "http_cpu_service": (_cpu(arena) - before) * 1e3 / requests,
            "http_cpu_postgres": spent(backends, usage.postgres()) * 1e3 / requests,
        }


def _cpu(arena: Arena) -> float:
    return sum(cpu_of(tree(process.pid)) for process in arena.serving)
