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
    """Milliseconds from when a request was due, not from when it was sent, so that waiting behind others counts."""
    with Arena(contender, servers) as arena:
        command = [sys.executable, "-m", "benchmarks.workloads.http_load"]
        command += [str(arena.ports[0]), str(options.http_rate), str(options.http_seconds)]
        usage = ServerUsage(arena.database, servers.amqp)
        before, backends = cpu_of(tree(arena.serving[0].pid)), usage.postgres()
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=options.http_seconds + EXTRA_SECONDS
        )
        if done.returncode:
            raise StepFailed(f"the load generator ended with {done.stderr.strip()[-300:]}")
        figures: dict[str, float] = json.loads(done.stdout)
        requests = options.http_rate * options.http_seconds + WARM
        return figures | {
            "http_cpu_service": (cpu_of(tree(arena.serving[0].pid)) - before) * 1e3 / requests,
            "http_cpu_postgres": spent(backends, usage.postgres()) * 1e3 / requests,
        }
