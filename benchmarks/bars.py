"""The bars: what Millrace must reach, as ratios of figures of the same run where there is something to compare with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.race import Race
from benchmarks.registry import OURS


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar. `value` is None where the run did not measure it; a direction is shown and fails nothing."""

    name: str
    value: Callable[[Race], float | None]
    limit: float
    at_least: bool = True
    unit: str = "×"
    direction: bool = False

    def verdict(self, race: Race) -> Verdict | None:
        """Whether the bar was reached; None where it was not measured."""
        value = self.value(race)
        if value is None:
            return None
        return Verdict(self, value, value >= self.limit if self.at_least else value <= self.limit)


@dataclass(frozen=True, slots=True)
class Verdict:
    bar: Bar
    value: float
    passed: bool

    @property
    def limit(self) -> str:
        return f"{'≥' if self.bar.at_least else '≤'} {self.bar.limit:,g} {self.bar.unit}"


def against(figure: str, peer: str) -> Callable[[Race], float | None]:
    """Ours divided by the peer's, round by round."""
    return lambda race: race.ratio(figure, OURS, peer)


def ours(figure: str) -> Callable[[Race], float | None]:
    """Our own figure."""
    return lambda race: race.median(figure, OURS)


# End to end is judged by the stricter clock: every event published and confirmed, not only every result readable.
BARS = (
    Bar("end to end, beside Oban", against("end_to_end_published", "oban"), 1.5),
    Bar("end to end, beside durable Celery", against("end_to_end_published", "celery-durable"), 10),
    Bar("end to end, beside Procrastinate", against("end_to_end_published", "procrastinate"), 7),
    Bar("end to end, beside pgqueuer", against("end_to_end_published", "pgqueuer"), 1, direction=True),
    Bar("enqueue, beside pgqueuer's bulk", against("enqueue", "pgqueuer"), 0.5),
    Bar("start latency p50, beside Oban", against("latency_start_p50", "oban"), 1.5, at_least=False),
    Bar("result visible p50, beside Oban", against("latency_visible_p50", "oban"), 1.5, at_least=False),
    Bar("worker CPU per job, beside Oban", against("cpu_worker", "oban"), 1, at_least=False),
    Bar("append, beside COPY of the same rows", ours("append_ratio"), 0.5),
    Bar("rebuild, per core", ours("rebuild"), 20_000, unit="events/s"),
    Bar("relay, confirmed", ours("relay"), 10_000, unit="events/s"),
    Bar("claim behind blocked jobs, p50", ours("claim_p50"), 5, at_least=False, unit="ms"),
    Bar("CPU per job, full tables beside nearly empty ones", ours("finished_cpu_ratio"), 1.1, at_least=False),
    Bar("time per job, full tables beside nearly empty ones", ours("finished_time_ratio"), 1.1, at_least=False),
    Bar("memory of the service, late beside early", ours("memory_service_growth"), 1.1, at_least=False),
    Bar("memory of the worker, late beside early", ours("memory_worker_growth"), 1.1, at_least=False),
    Bar("live, CPU per delivery beside a bare broadcast", ours("live_cpu_ratio"), 2, at_least=False),
    Bar("HTTP, one process: p95 of mixed requests", ours("http_p95"), 200, at_least=False, unit="ms"),
    Bar("HTTP, one process: rate achieved", ours("http_share"), 0.99, unit="of the rate asked for"),
    Bar("HTTP, two processes: p95 of mixed requests", ours("http_p95_two"), 200, at_least=False, unit="ms"),
    Bar("HTTP, two processes: rate achieved", ours("http_share_two"), 0.99, unit="of the rate asked for"),
)


def verdicts(race: Race) -> list[Verdict]:
    """Of every bar that was measured."""
    return [verdict for verdict in (bar.verdict(race) for bar in BARS) if verdict is not None]
