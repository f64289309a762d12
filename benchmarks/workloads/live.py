"""A thousand WebSocket clients of one process, beside a bare broadcast of the same message on the same server."""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks.arena import Arena, Contender, StepFailed, end, free_port
from benchmarks.options import ROOT, Options
from benchmarks.servers import Servers

CLIENTS = 1_000
RATE = 10.0
EXTRA_SECONDS = 240


def live(contender: Contender, servers: Servers, options: Options) -> dict[str, float]:
    """Figures of ours and of the bare broadcast, and the ratio of what a delivery costs."""
    with Arena(contender, servers, 1) as arena:
        ours = _measured("ours", arena.ports[0], arena.serving[0].pid, options)
    port = free_port()
    bare_server = subprocess.Popen([sys.executable, "-m", "benchmarks.workloads.live_bare", str(port)], cwd=ROOT)
    try:
        bare = _measured("bare", port, bare_server.pid, options)
    finally:
        end(bare_server)
    return {
        "live_rate": ours["rate"],
        "live_p50": ours["p50"],
        "live_p99": ours["p99"],
        "live_p99_bare": bare["p99"],
        "live_cpu": ours["cpu"],
        "live_cpu_bare": bare["cpu"],
        "live_cpu_ratio": ours["cpu"] / bare["cpu"],
    }


def _measured(kind: str, port: int, pid: int, options: Options) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.workloads.live_load", kind, str(port), str(pid)]
    command += [str(CLIENTS), str(RATE), str(options.live_seconds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=EXTRA_SECONDS)
    if done.returncode:
        raise StepFailed(f"the clients of {kind} ended with {done.stderr.strip()[-300:]}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures
