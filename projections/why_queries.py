"""Where an unfinished job stands: which of the inline rows it has, and who could take it."""

from __future__ import annotations

from datetime import timedelta

from millrace.contracts.why import MOST_COUNTED, Ready, Running, Standing, Waiting
from projections.projection import Connection

MOST_NAMED = 100
LEASE = "SELECT attempt, worker, expires_at FROM leases WHERE stream = $1"
# What a claim has set aside waits for its queue first and for its circuit then, as if no claim had met it.
WAITING = """
SELECT CASE WHEN q.paused THEN 'paused' WHEN c.name IS NOT NULL THEN 'circuit_open' ELSE w.reason END AS reason,
       CASE WHEN q.paused THEN NULL WHEN c.name IS NOT NULL OR w.reason = 'circuit_open' THEN c.until ELSE w.due_at END
           AS due_at
  FROM waiting w
  LEFT JOIN queue_rules q ON w.reason IN ('circuit_open', 'affinity') AND q.tenant = w.tenant AND q.queue = w.queue
  LEFT JOIN circuits c ON w.reason IN ('circuit_open', 'affinity') AND c.tenant = w.tenant AND c.name = w.name
                      AND (c.state = 'open' OR c.state = 'half_open' AND c.trials <= 0)
 WHERE w.stream = $1
"""
PARENTS = "SELECT parent_id FROM dependencies WHERE child = $1 ORDER BY parent_id LIMIT $2"
READY = """
SELECT r.queue, r.rank, r.tag, r.position, r.priority, coalesce(q.paused, false) AS paused,
       coalesce(c.state = 'open' OR c.state = 'half_open' AND c.trials <= 0, false) AS broken, c.until
  FROM ready r LEFT JOIN queue_rules q ON q.tenant = r.tenant AND q.queue = r.queue
  LEFT JOIN circuits c ON c.tenant = r.tenant AND c.name = r.name WHERE r.stream = $1
"""
AHEAD = """
SELECT count(*) AS ahead, count(*) FILTER (WHERE priority > $6) AS higher
  FROM (SELECT priority FROM ready WHERE tenant = $1 AND queue = $2 AND (rank, tag, position) < ($3, $4, $5)
         ORDER BY rank, tag, position LIMIT $7) first
"""
WORKERS = """
SELECT count(DISTINCT worker) AS workers,
       count(DISTINCT worker) FILTER (WHERE queues IS NULL OR $2 = ANY (queues)) AS looking
  FROM workers WHERE tenant IN ($1, '*') AND NOT stopped AND seen_at > clock_timestamp() - $3::interval
"""


async def standing_of(connection: Connection, tenant: str, stream: str, lease: timedelta) -> Standing | None:
    """Where the job of a stream stands, None where it has no row because it has ended.

    Args:
        lease: a worker that was not heard of for so long does not count.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        if row := await connection.fetchrow(LEASE, stream):
            return Running(row["attempt"], row["worker"], row["expires_at"])
        if row := await connection.fetchrow(WAITING, stream):
            return Waiting(row["reason"], row["due_at"])
        if parents := await connection.fetch(PARENTS, stream, MOST_NAMED):
            return Waiting("dependent", None, [row["parent_id"] for row in parents])
        if row := await connection.fetchrow(READY, stream):
            if row["paused"]:
                return Waiting("paused", None)
            if row["broken"]:
                return Waiting("circuit_open", row["until"])
            place = (row["rank"], row["tag"], row["position"], row["priority"])
            before = await connection.fetchrow(AHEAD, tenant, row["queue"], *place, MOST_COUNTED)
            workers = await connection.fetchrow(WORKERS, tenant, row["queue"], lease)
            assert before is not None
            assert workers is not None
            return Ready(row["queue"], before["ahead"], before["higher"], workers["workers"], workers["looking"])
    return None
