"""A long queue: enqueued, then drained by one worker, with the memory of every process of the system over time."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Sequence
from subprocess import Popen

from benchmarks.arena import Arena, Contender
from benchmarks.options import Options
from benchmarks.servers import Servers
from benchmarks.usage import memory_of
from benchmarks.workloads.throughput import complete, rate

SAMPLE_SECONDS = 0.25


def backlog(contender: Contender, servers: Servers, options: Options) -> dict[str, float]:
    """Jobs a second in and out of the long queue, and memory late in the run as a multiple of memory early in it.

    Early is the second fifth of the time, late the last fifth. The service is watched from before the first job on:
    what it takes while the queue grows must count. The worker is watched while it runs, which is the drain.
    """
    count = options.backlog
    if contender.entry.jobs < count:
        return {}
    with Arena(contender, servers) as arena:
        service = Sampler(arena.serving)
        sent = arena.step("enqueue", 0, count)
        observer = arena.observer("wait", 0, count, count)
        arena.worker()
        samplers = {"worker": Sampler(arena.workers), "service": service}
        ended = complete(arena.finish(observer))
        figures = {
            "backlog_enqueue": rate(count, sent["start"], sent["end"]),
            "backlog_drain": rate(count, ended["first"], ended["end"]),
        }
        for name, sampler in samplers.items():
            samples = sampler.finish()
            if arena.serving or name == "worker":
                figures |= growth(name, samples)
        return figures


def growth(name: str, samples: Sequence[float]) -> dict[str, float]:
    """At the beginning, at its peak, and late as a multiple of early."""
    fifth = max(1, len(samples) // 5)
    early, late = statistics.mean(samples[fifth : 2 * fifth] or samples), statistics.mean(samples[-fifth:])
    return {f"memory_{name}_first": samples[0], f"memory_{name}": max(samples), f"memory_{name}_growth": late / early}


class Sampler(threading.Thread):
    """Notes the resident megabytes of processes several times a second."""

    def __init__(self, processes: Sequence[Popen[bytes]]) -> None:
        super().__init__(daemon=True)
        self._processes, self._samples, self._over = processes, [0.0], threading.Event()
        self.start()

    def finish(self) -> list[float]:
        self._over.set()
        self.join()
        return self._samples[1:] or self._samples

    def run(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            self._samples.append(sum(memory_of(process.pid) for process in self._processes))
