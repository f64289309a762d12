"""How long jobs waited and ran and how their attempts ended, counted in this process and collected by Prometheus."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from handlers.outcomes import Ended
from millrace.contracts.durations import BOUNDS

MOST_NAMES = 100
OTHER = "other"


class _Times:
    """A histogram."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def buckets(self) -> list[tuple[str, float]]:
        bounds = [*map(str, BOUNDS), "+Inf"]
        return [(bound, float(count)) for bound, count in zip(bounds, accumulate(self.counts), strict=True)]


class _Lane:
    """What is counted of the jobs that share labels."""

    __slots__ = ("outcomes", "ran", "waited")

    def __init__(self) -> None:
        self.waited, self.ran = _Times(), _Times()
        self.outcomes: dict[str, int] = {}


class JobTimes:
    """Implements a collector of `prometheus_client`.

    The first names in queues that are seen have labels of their own, the rest goes together as `other`: names come from
    outside, and a series that changed its labels later would look like a counter that was set back.

    Args:
        tenants: whether series are told apart by tenant too.
        most: how many have labels of their own.
    """

    def __init__(self, *, tenants: bool = False, most: int = MOST_NAMES) -> None:
        self._tenants, self._most = tenants, most
        self._lanes: dict[tuple[str, ...], _Lane] = {}
        self._labels = ["tenant", "queue", "name"] if tenants else ["queue", "name"]

    def count(self, ended: Ended) -> None:
        """Takes one attempt. One that was handed back unrun has no times."""
        key = (ended.tenant, ended.queue, ended.name) if self._tenants else (ended.queue, ended.name)
        lane = self._lanes.get(key) or self._new(key)
        lane.outcomes[ended.outcome] = lane.outcomes.get(ended.outcome, 0) + 1
        if ended.outcome != "returned":
            lane.waited.add(ended.waited)
            lane.ran.add(ended.ran)

    def _new(self, key: tuple[str, ...]) -> _Lane:
        if len(self._lanes) >= self._most:
            key = (OTHER,) * len(key)
        return self._lanes.setdefault(key, _Lane())

    def collect(self) -> Iterator[Metric]:
        """The metrics as they are now."""
        lanes = list(self._lanes.items())
        yield self._histogram(
            "millrace_job_wait_seconds",
            "From when a job could run to its start, counted when the attempt ends.",
            [(key, lane.waited) for key, lane in lanes],
        )
        yield self._histogram(
            "millrace_job_run_seconds",
            "From the start to the end of an attempt.",
            [(key, lane.ran) for key, lane in lanes],
        )
        attempts = CounterMetricFamily(
            "millrace_job_attempts", "Attempts that have ended.", labels=[*self._labels, "outcome"]
        )
        for key, lane in lanes:
            for outcome, number in list(lane.outcomes.items()):
                attempts.add_metric([*key, outcome], number)
        yield attempts

    def _histogram(self, name: str, text: str, lanes: Sequence[tuple[tuple[str, ...], _Times]]) -> Metric:
        family = HistogramMetricFamily(name, text, labels=self._labels)
        for key, times in lanes:
            family.add_metric(list(key), times.buckets(), times.total)
        return family
