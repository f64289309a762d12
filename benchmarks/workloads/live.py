"""A thousand WebSocket clients of one process, beside a bare broadcast of the same message on the same server."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.arena import Arena, Contender, StepFailed, end, free_port
from benchmarks.options import ROOT, Options
from benchmarks.servers import Servers
from millrace.cli.processes import end_with_parent

CLIENTS = 1_000
RATE = 10.0
EXTRA_SECONDS = 120
START_SECONDS = 30


def live(contender: Contender, servers: Servers, options: Options) -> dict[str, float]:
    """Figures of ours and of the bare broadcast, and the ratio of what a delivery costs."""
    with Arena(contender, servers, 1) as arena:
        ours = measured("ours", arena.ports[0], arena.serving[0].pid, CLIENTS, options.live_seconds)
    with bare_broadcast() as (port, pid):
        bare = measured("bare", port, pid, CLIENTS, options.live_seconds, ours.message)
    return figures_of(ours.figures, bare.figures)


@contextmanager
def bare_broadcast() -> Iterator[tuple[int, int]]:
    """The port and the process of a bare broadcast that listens, and ends with the block.

    Raises:
        StepFailed: it does not listen.
    """
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.workloads.live_bare", str(port)],
        cwd=ROOT,
        start_new_session=True,  # what ends it ends its session
        preexec_fn=end_with_parent(),
    )
    try:
        _until_listening(server, port)
        yield port, server.pid
    finally:
        end(server)


def figures_of(ours: dict[str, float], bare: dict[str, float]) -> dict[str, float]:
    """What is reported of the two measurements; nothing of a browser where one of them had none."""
    shown = {
        f"live_{figure}{of}": figures[figure]
        for of, figures in (("", ours), ("_bare", bare))
        for figure in ("browser_p50", "browser_p99")
        if figure in ours and figure in bare
    }
    return shown | {
        "live_rate": ours["rate"],
        "live_rate_most": ours["rate_most"],
        "live_rate_most_bare": bare["rate_most"],
        "live_p50": ours["p50"],
        "live_p99": ours["p99"],
        "live_p99_bare": bare["p99"],
        "live_bytes": ours["bytes"],
        "live_cpu": ours["cpu"],
        "live_cpu_bare": bare["cpu"],
        "live_cpu_ratio": ours["cpu"] / bare["cpu"],
    }


@dataclass(frozen=True, slots=True)
class Measured:
    """What the clients of one server found.

    Attributes:
        message: as they were sent it.
    """

    figures: dict[str, float]
    message: str


def measured(kind: str, port: int, pid: int, clients: int, seconds: float, message: str = "") -> Measured:
    """What clients in a process of their own find, `RATE` messages a second each.

    Args:
        message: that the bare server sends, as `Measured.message` of ours is.

    Raises:
        StepFailed: clients were cut off, or it took too long; the text has their last words.
    """
    command = [sys.executable, "-m", "benchmarks.workloads.live_load", kind, str(port), str(pid)]
    command += [str(clients), str(RATE), str(seconds), message]
    limit = seconds * 2 + EXTRA_SECONDS
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        raise StepFailed(f"the clients of {kind} had no result within {limit:g} s") from None
    if done.returncode:
        raise StepFailed(f"the clients of {kind} ended with {done.stderr.strip()[-600:]}")
    return Measured(**json.loads(done.stdout))


def _until_listening(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise StepFailed(f"the bare broadcast did not listen within {START_SECONDS} s")
