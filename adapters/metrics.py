"""What Prometheus sees of the service. The registry belongs to the service's instance, nothing is global."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import assert_never

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from adapters.job_times import OTHER, JobTimes
from handlers.gateway import Gateway
from millrace.contracts.wire import Accepted, Batch, Context, Refused, Reply

MOST_LANES = 200
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """Counters and gauges of one service process.

    Args:
        tenants: whether the series of jobs and queues are told apart by tenant.

    Attributes:
        times: how long jobs waited and ran, and how their attempts ended.
    """

    def __init__(self, *, tenants: bool = False) -> None:
        self.tenants = tenants
        self.registry = registry = CollectorRegistry()
        self.times = JobTimes(tenants=tenants)
        registry.register(self.times)
        self.messages = Counter(
            "millrace_messages_total", "Commands and queries answered.", ["name", "outcome"], registry=registry
        )
        self.seconds = Histogram(
            "millrace_message_seconds",
            "Time to an answer, claims excepted.",
            ["name"],
            buckets=BUCKETS,
            registry=registry,
        )
        self.head = Gauge("millrace_log_head", "Newest position of the log.", registry=registry)
        self.lag = Gauge("millrace_reader_lag", "Events a reader is behind.", ["reader"], registry=registry)
        self.held = Gauge("millrace_held_streams", "Streams that readers go on without.", registry=registry)
        self.claims = Gauge("millrace_claims_waiting", "Claims that this process holds.", registry=registry)
        self.left_out = Gauge(
            "millrace_samples_left_out", "Samples of progress not carried on for want of room.", registry=registry
        )
        self.refreshed = Gauge(
            "millrace_refreshed_seconds", "When the gauges were last brought up to date.", registry=registry
        )
        self.circuits = Gauge("millrace_circuits", "Circuit breakers of names, by state.", ["state"], registry=registry)
        self.ready = self._lanes("millrace_jobs_ready", "Jobs that may run now.")
        self.waiting = self._lanes("millrace_jobs_waiting", "Jobs that may not run yet, by reason.", "reason")
        self.oldest = self._lanes("millrace_oldest_ready_seconds", "Age of the oldest ready job.")
        self.jobs = self._lanes("millrace_jobs", "Jobs by status.", "status")
        self.dead_letters = self._lanes("millrace_dead_letters", "Dead-lettered jobs.")

    def lane(self, tenant: str, queue: str) -> tuple[str, ...]:
        """The labels of a queue."""
        return (tenant, queue) if self.tenants else (queue,)

    def _lanes(self, name: str, text: str, *more: str) -> Gauge:
        return Gauge(
            name, text, ["tenant", "queue", *more] if self.tenants else ["queue", *more], registry=self.registry
        )

    def text(self) -> bytes:
        """Everything in the text format of Prometheus."""
        return generate_latest(self.registry)


class Lanes:
    """Which queues get labels of their own: the largest so many, and the rest goes together as `other`.

    Names come from outside; a series for each would grow without a bound.
    """

    def __init__(self, sizes: Mapping[tuple[str, ...], int], most: int = MOST_LANES) -> None:
        self._own = set(sorted(sizes, key=lambda lane: (-sizes[lane], lane))[:most])

    def labels(self, lane: tuple[str, ...]) -> tuple[str, ...]:
        """The labels that a lane has."""
        return lane if lane in self._own else (OTHER,) * len(lane)


class MeasuredGateway:
    """A gateway that counts and times what goes through another."""

    def __init__(self, gateway: Gateway, metrics: Metrics, known: frozenset[str]) -> None:
        self._gateway, self._metrics, self._known = gateway, metrics, known

    async def execute(self, name: str, body: object, context: Context) -> Reply:
        begun = time.perf_counter()
        reply = await self._gateway.execute(name, body, context)
        self._note(name, reply, begun)
        return reply

    async def query(
        self, name: str, body: object, context: Context, min_position: str | None = None
    ) -> Accepted | Refused:
        begun = time.perf_counter()
        reply = await self._gateway.query(name, body, context, min_position)
        self._note(name, reply, begun)
        return reply

    def _note(self, name: str, reply: Reply, begun: float) -> None:
        # Names come from outside: only known ones become labels.
        label = name if name in self._known else "unknown"
        match reply:
            case Accepted():
                self._metrics.messages.labels(label, "accepted").inc()
            case Refused():
                self._metrics.messages.labels(label, reply.problem.code).inc()
            case Batch():
                refused = sum(isinstance(item, Refused) for item in reply.items)
                self._metrics.messages.labels(label, "refused").inc(refused)
                self._metrics.messages.labels(label, "accepted").inc(len(reply.items) - refused)
            case _:
                assert_never(reply)
        if label != "job.claim":
            self._metrics.seconds.labels(label).observe(time.perf_counter() - begun)
