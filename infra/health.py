"""How the parts of the running service are, for readiness and for the metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import asyncpg

from adapters.http.health import Part
from adapters.metrics import Lanes, Metrics
from adapters.postgres.database import Pool
from domain.ports import StoreUnavailable
from infra.bootstrap import System
from projections.job_filters import DUE

BEHIND = 10_000
QUEUES = """
SELECT r.tenant, r.queue, r.n, extract(epoch FROM clock_timestamp() - e.recorded_at)::float8 AS age
  FROM (SELECT tenant, queue, count(*) AS n, min(position) AS position
          FROM (SELECT tenant, queue, position FROM ready ORDER BY position LIMIT 100000) oldest
         GROUP BY tenant, queue) r
  JOIN stored_events e ON e.notification_id = r.position
"""
WAITING = """
SELECT tenant, queue, reason, count(*) AS n
  FROM (SELECT tenant, queue, reason FROM waiting LIMIT 100000) listed GROUP BY tenant, queue, reason
"""
COUNTS = f"""
WITH due AS MATERIALIZED (
    SELECT tenant, queue, count(*) AS n FROM (SELECT tenant, queue FROM jobs WHERE {DUE} LIMIT 100000) listed
     GROUP BY tenant, queue)
SELECT tenant, queue, status, n FROM job_counts
UNION ALL SELECT tenant, queue, 'pending', n FROM due UNION ALL SELECT tenant, queue, 'delayed', -n FROM due
"""
CIRCUITS = "SELECT state, count(*) AS n FROM circuits GROUP BY state"
DEAD = "SELECT tenant, queue, count(*) AS n FROM dead_letters GROUP BY tenant, queue"


class SystemHealth:
    """Implements `adapters.http.health.HealthProbe`."""

    def __init__(self, system: System) -> None:
        self._system = system

    async def parts(self) -> Sequence[Part]:
        storage = self._system.storage
        try:
            head = await storage.store.head()
            positions = await storage.readers.positions()
            held = await storage.readers.held()
        except StoreUnavailable as error:
            return [Part("postgresql", "down", str(error))]
        parts = [Part("postgresql", "ok", f"log at {head}")]
        for name, position in sorted(positions.items()):
            if "@" in name:
                continue
            lag = head - position
            # Without a broker nothing leaves the store, and that is no fault.
            waiting = name == "relay" and self._system.bus is None
            parts.append(Part(name, "ok" if waiting or lag < BEHIND else "degraded", f"{lag} events behind"))
        for reader, stream, reason in held[:20]:
            parts.append(Part(f"{reader} holds {stream}", "degraded", reason[:200]))
        bus = self._system.bus
        if bus is not None:
            parts.append(Part("rabbitmq", "ok" if bus.problem is None else "degraded", bus.problem))
        return parts


async def refresh(metrics: Metrics, system: System) -> None:
    """Brings the gauges up to date."""
    storage = system.storage
    head = await storage.store.head()
    metrics.head.set(head)
    for name, position in (await storage.readers.positions()).items():
        metrics.lag.labels(name).set(head - position)
    metrics.held.set(len(await storage.readers.held()))
    metrics.claims.set(storage.queue.claims.held)
    metrics.left_out.set(system.samples.left_out)
    await _refresh_queues(metrics, storage.pool)
    metrics.circuits.clear()
    for state in ("closed", "open", "half_open"):
        metrics.circuits.labels(state).set(0)
    for row in await storage.pool.fetch(CIRCUITS):
        metrics.circuits.labels(row["state"]).set(row["n"])
    metrics.refreshed.set_to_current_time()


async def _refresh_queues(metrics: Metrics, pool: Pool) -> None:
    ready, waiting, counts, dead = [await pool.fetch(sql) for sql in (QUEUES, WAITING, COUNTS, DEAD)]
    sizes: Counter[tuple[str, ...]] = Counter()
    for row in counts:
        sizes[metrics.lane(row["tenant"], row["queue"])] += row["n"]
    lanes = Lanes(sizes)

    def lane(row: asyncpg.Record) -> tuple[str, ...]:
        return lanes.labels(metrics.lane(row["tenant"], row["queue"]))

    for gauge in (metrics.ready, metrics.waiting, metrics.oldest, metrics.jobs, metrics.dead_letters):
        gauge.clear()
    ages: dict[tuple[str, ...], float] = {}
    for row in ready:
        metrics.ready.labels(*lane(row)).inc(row["n"])
        ages[lane(row)] = max(ages.get(lane(row), 0.0), row["age"])
    for labels, age in ages.items():
        metrics.oldest.labels(*labels).set(age)
    for row in waiting:
        metrics.waiting.labels(*lane(row), row["reason"]).inc(row["n"])
    for row in counts:
        metrics.jobs.labels(*lane(row), row["status"]).inc(row["n"])
    for row in dead:
        metrics.dead_letters.labels(*lane(row)).inc(row["n"])
