"""How the parts of the running service are, for readiness and for the metrics."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.http.health import Part
from adapters.metrics import Metrics
from domain.ports import StoreUnavailable
from infra.bootstrap import System

BEHIND = 10_000
QUEUES = """
SELECT r.tenant, r.queue, count(*) AS n,
       extract(epoch FROM clock_timestamp() - min(e.recorded_at))::float8 AS age
  FROM (SELECT tenant, queue, stream, position FROM ready ORDER BY position LIMIT 100000) r
  JOIN stored_events e ON e.notification_id = r.position
 GROUP BY r.tenant, r.queue
"""


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
    rows = await storage.pool.fetch(QUEUES)
    metrics.ready.clear()
    metrics.oldest.clear()
    for row in rows:
        metrics.ready.labels(row["tenant"], row["queue"]).set(row["n"])
        metrics.oldest.labels(row["tenant"], row["queue"]).set(row["age"])
