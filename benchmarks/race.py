"""Rounds: every contender runs every workload once a round, another first each time."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.arena import Contender, StepFailed
from benchmarks.catalogue import Workload
from benchmarks.options import Options
from benchmarks.registry import OURS
from benchmarks.servers import Servers, ServersMissing

Results = dict[str, dict[str, dict[int, float]]]


@dataclass(slots=True)
class Race:
    """What was measured: values by figure, peer and round.

    Attributes:
        failures: what went wrong, in words; a peer that failed a step has no figure for it.
        loads: the machine's load average before each step.
    """

    results: Results = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)

    def add(self, peer: str, number: int, figures: dict[str, float]) -> None:
        for figure, value in figures.items():
            self.results.setdefault(figure, {}).setdefault(peer, {})[number] = value

    def median(self, figure: str, peer: str) -> float | None:
        values = self.results.get(figure, {}).get(peer)
        return statistics.median(values.values()) if values else None

    def ratio(self, figure: str, peer: str, base: str) -> float | None:
        """Median over the rounds of the peer's value divided by the base's in the same round."""
        values, bases = (self.results.get(figure, {}).get(name, {}) for name in (peer, base))
        both = [value / bases[number] for number, value in values.items() if bases.get(number)]
        return statistics.median(both) if both else None


def run(
    contenders: list[Contender],
    workloads: list[Workload],
    servers: Servers,
    options: Options,
    tell: Callable[[str], None],
    keep: Callable[[Race], None],
) -> Race:
    """Runs everything; a step that fails is noted and the race goes on.

    Args:
        tell: told each step's figures, in words.
        keep: given what there is after each step, so that a race that is ended keeps it.
    """
    race = Race()
    for number in range(options.rounds):
        for workload in workloads:
            if workload.once and number:
                continue
            taking_part = [each for each in contenders if not workload.ours or each.entry.name == OURS]
            shift = number % max(1, len(taking_part))
            for contender in taking_part[shift:] + taking_part[:shift]:
                name = contender.entry.name
                race.loads.append(os.getloadavg()[0])
                start = time.monotonic()
                try:
                    figures = workload.run(contender, servers, options)
                except ServersMissing:
                    raise
                except Exception as failure:
                    # Whatever becomes of one system must not cost the figures of the others.
                    reason = str(failure) if isinstance(failure, StepFailed) else repr(failure)
                    race.failures.append(f"round {number + 1}, {name}, {workload.figures[0]}: {reason}")
                    tell(race.failures[-1])
                    continue
                race.add(name, number + 1, figures)
                keep(race)
                shown = ", ".join(f"{figure} {value:,.4g}" for figure, value in figures.items())
                tell(f"round {number + 1} {name} ({time.monotonic() - start:.0f} s): {shown}")
    return race
