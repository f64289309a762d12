"""The counters of the queues' limits, against the rows that they count."""

from __future__ import annotations

from typing import Any

from projections.projection import Connection

# What the counters must say, counted from the rows.
COUNTED = """
SELECT l.tenant, l.queue, slot_of(l, j.name, j.key) AS slot, count(*) FILTER (WHERE NOT j.runs) AS held,
       count(*) FILTER (WHERE j.runs) AS running
  FROM queue_limits l JOIN (
       SELECT tenant, queue, name, key, 4 AS standing, false AS runs FROM ready UNION ALL
       SELECT tenant, queue, name, key, stage_of(slot), false FROM waiting WHERE slot IS NOT NULL UNION ALL
       SELECT tenant, queue, name, key, 4, true FROM leases) AS j USING (tenant, queue)
 WHERE l.stage < j.standing AND slot_of(l, j.name, j.key) IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
KEPT = """
SELECT tenant, queue, slot, held, running FROM queue_slots WHERE held <> 0 OR running <> 0 ORDER BY 1, 2, 3
"""


async def exact(connection: Connection) -> list[tuple[Any, ...]]:
    """The counters, which must agree with the rows."""
    async with connection.transaction(isolation="repeatable_read"):
        kept = [tuple(row) for row in await connection.fetch(KEPT)]
        assert kept == [tuple(row) for row in await connection.fetch(COUNTED)]
    return kept
