"""The steps of a measurement, each a process of its own: `python -m benchmarks.peers.<name> <step> …`."""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import time
from typing import Any

from benchmarks.peers.base import Observed, Peer, Serving
from benchmarks.stamps import RAN_TWICE, STAMPS, now

RESULT = "RESULT "
READY = "READY"
WAIT_SECONDS = 400.0
RECORD_SECONDS = 90.0
COUNT_SECONDS = 0.005
ASK_SECONDS = 0.0003


def main(peer: Peer) -> None:
    """Carries out the step that the command line names and prints its result.

    The process ends at once then: no peer's exit hooks in the time of the next step.
    """
    step, *arguments = sys.argv[1:]
    numbers = [float(argument) if "." in argument else int(argument) for argument in arguments]
    outcome = {
        "reset": lambda: peer.reset(),
        "worker": lambda: peer.worker(),
        "service": lambda: serve(peer),
        "enqueue": lambda: enqueue(peer, *numbers),
        "wait": lambda: wait(peer, *numbers),
        "warm": lambda: warm(peer, *numbers),
        "latency": lambda: latency(peer, *numbers),
    }[step]()
    print(RESULT + json.dumps(outcome or {}), flush=True)
    os._exit(0)


def serve(peer: Peer) -> None:
    """Raises:
    TypeError: the system needs nothing besides its workers.
    """
    if not isinstance(peer, Serving):
        raise TypeError(f"{type(peer).__name__} has no service")
    peer.service()


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def enqueue(peer: Peer, first: int, count: int) -> dict[str, Any]:
    peer.connect()
    cpu, start = cpu_seconds(), now()
    peer.enqueue(range(first, first + count))
    end, cpu = now(), cpu_seconds() - cpu
    peer.close()
    return {"start": start, "end": end, "cpu": cpu}


def wait(peer: Peer, first: int, count: int, expected: int) -> dict[str, Any]:
    """Until all handlers have started, `expected` final statuses are recorded and everything is published."""
    if isinstance(peer, Observed):
        peer.observe()
    print(READY, flush=True)
    complete = STAMPS.wait(first, count, WAIT_SECONDS)
    deadline = time.monotonic() + RECORD_SECONDS
    if isinstance(peer, Observed):
        complete = complete and until(lambda: peer.recorded_count() >= expected, deadline)
    recorded = now()
    complete = complete and until(peer.is_published, deadline)
    published = now()
    starts = [start for start in STAMPS.slots[first : first + count].tolist() if start]
    last = max(starts, default=0)
    return {
        "complete": complete,
        "first": min(starts, default=0),
        "last": last,
        "end": recorded if isinstance(peer, Observed) else last,
        "published": published if isinstance(peer, Observed) else last,
        "started": len(starts),
        "ran_twice": STAMPS.slots[RAN_TWICE],
    }


def warm(peer: Peer, number: int) -> dict[str, Any]:
    """One job through everything, so that no connection or import is in what is measured next."""
    peer.connect()
    if isinstance(peer, Observed):
        peer.observe()
    job = peer.enqueue_one(number)
    complete = STAMPS.wait(number, 1, 60)
    if isinstance(peer, Observed):
        complete = complete and until(lambda: peer.is_recorded(job), time.monotonic() + 15)
    peer.close()
    return {"complete": complete}


def latency(peer: Peer, first: int, count: int, rate: float) -> dict[str, Any]:
    """Jobs one at a time at `rate` a second on an idle worker; milliseconds from the enqueue call on."""
    peer.connect()
    if isinstance(peer, Observed):
        peer.observe()
    peer.enqueue_one(first + count)
    STAMPS.wait(first + count, 1, 30)
    called: dict[int, int] = {}
    jobs: dict[int, Any] = {}
    watch = Watch(peer)
    calls = []
    due = time.monotonic() + 0.3
    for number in range(first, first + count):
        time.sleep(max(0.0, due - time.monotonic()))
        due += 1.0 / rate
        called[number] = now()
        job = peer.enqueue_one(number)
        calls.append((now() - called[number]) / 1e6)
        jobs[number] = str(job)
        watch.add(number, job)
    complete = STAMPS.wait(first, count, 30)
    seen = watch.finish(15)
    peer.close()
    slots = STAMPS.slots
    return {
        "complete": complete,
        "jobs": [[jobs[number], call, slots[number], seen.get(number)] for number, call in called.items()],
        "call": calls,
        "start": [(slots[number] - call) / 1e6 for number, call in called.items() if slots[number]],
        "visible": [(seen[number] - call) / 1e6 for number, call in called.items() if number in seen],
    }


class Watch(threading.Thread):
    """Asks, once a job's handler has started, whether its final status can be seen, and notes when."""

    def __init__(self, peer: Peer) -> None:
        super().__init__(daemon=True)
        self._peer = peer if isinstance(peer, Observed) else None
        self._pending: dict[int, Any] = {}
        self._seen: dict[int, int] = {}
        self._deadline: float | None = None
        if self._peer is not None:
            self.start()

    def add(self, number: int, job: Any) -> None:
        self._pending[number] = job

    def finish(self, seconds: float) -> dict[int, int]:
        """When each was seen; waits for those that are missing, for `seconds` at most."""
        if self._peer is None:
            return {}
        self._deadline = time.monotonic() + seconds
        self.join(seconds + 5)
        return self._seen

    def run(self) -> None:
        if self._peer is None:
            return
        while self._deadline is None or (self._pending and time.monotonic() < self._deadline):
            for number, job in list(self._pending.items()):
                if STAMPS.slots[number] and self._peer.is_recorded(job):
                    self._seen[number] = now()
                    del self._pending[number]
            time.sleep(ASK_SECONDS)


def until(holds: Any, deadline: float) -> bool:
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(COUNT_SECONDS)
    return True
