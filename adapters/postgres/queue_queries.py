"""Queues as they are right now: their rules, what waits in them and what runs, from the tables that the claims use."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import asyncpg
from pydantic_core import from_json, to_json

from adapters.postgres.errors import translated
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.group_commit import GroupCommit
from adapters.postgres.log_queries import NoSuchAggregate
from domain.ports import StreamName
from domain.queue import DEFAULTS, KIND, Queue
from handlers.queue import with_bursts
from handlers.routes import QueryRoute
from millrace.contracts import queue as contract
from millrace.contracts.wire import Context
from projections.queue import rules

NAMES = """
SELECT queue FROM queue_rules WHERE tenant = $1 UNION SELECT queue FROM ready WHERE tenant = $1
 UNION SELECT queue FROM waiting WHERE tenant = $1 UNION SELECT work ->> 'queue' FROM dependents WHERE tenant = $1
 UNION SELECT queue FROM leases WHERE tenant = $1 AND queue <> '' ORDER BY 1
"""
DEPTH = """
SELECT q.queue, (SELECT count(*) FROM ready r WHERE r.tenant = $1 AND r.queue = q.queue) AS ready,
       (SELECT count(*) FROM leases l WHERE l.tenant = $1 AND l.queue = q.queue) AS running,
       (SELECT coalesce(jsonb_object_agg(w.reason, w.n), '{}')::text
          FROM (SELECT reason, count(*) AS n FROM waiting WHERE tenant = $1 AND queue = q.queue GROUP BY 1
                 UNION ALL SELECT 'dependent', count(*) FROM dependents
                            WHERE tenant = $1 AND work ->> 'queue' = q.queue HAVING count(*) > 0) AS w)
           AS waiting,
       (SELECT clock_timestamp() - min(e.recorded_at)
          FROM (SELECT min(position) AS position FROM ready WHERE tenant = $1 AND queue = q.queue UNION ALL
                SELECT min(position) FROM waiting WHERE tenant = $1 AND queue = q.queue AND slot IS NOT NULL) AS o
          JOIN stored_events e ON e.notification_id = o.position) AS oldest
  FROM unnest($2::text[]) AS q(queue)
"""
SOME = """
(SELECT job_id FROM ready WHERE tenant = $1 AND queue = $2 AND position <= $3 LIMIT $4)
UNION ALL (SELECT job_id FROM waiting WHERE tenant = $1 AND queue = $2 AND position <= $3 LIMIT $4)
UNION ALL (SELECT job_id FROM dependents WHERE tenant = $1 AND work ->> 'queue' = $2 AND position <= $3 LIMIT $4)
LIMIT $4
"""
WEIGH_TENANTS = "SELECT weigh_tenants($1::jsonb)"
FOLLOW_FILE = "SELECT follow_file($1::jsonb)"


class QueueQueries:
    """Answers `queue.get` and `queue.list`; implements `domain.ports.WaitingJobs`.

    Args:
        files: settings of queues from the configuration file.
    """

    def __init__(
        self, pool: asyncpg.Pool[asyncpg.Record], store: PostgresEventStore, files: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self._pool, self._store, self._files = pool, store, files

    def routes(self) -> dict[str, QueryRoute]:
        return {
            "queue.get": QueryRoute(contract.GetQueue, self._get),
            "queue.list": QueryRoute(contract.ListQueues, self._list),
        }

    @translated
    async def newest(self) -> int:
        return await self._store.head()

    @translated
    async def some(self, tenant: str, queue: str, until: int, limit: int) -> list[str]:
        return [row["job_id"] for row in await self._pool.fetch(SOME, tenant, queue, until, limit)]

    @translated
    async def _get(self, query: contract.GetQueue, context: Context) -> dict[str, Any]:
        known = await self._pool.fetch(NAMES, context.tenant)
        if query.name not in {row["queue"] for row in known} | self._files.keys():
            raise NoSuchAggregate(KIND, query.name)
        return {"queue": (await self._told(context.tenant, [query.name]))[0]}

    @translated
    async def _list(self, _: contract.ListQueues, context: Context) -> dict[str, Any]:
        names = [row["queue"] for row in await self._pool.fetch(NAMES, context.tenant)]
        return {"queues": await self._told(context.tenant, names)}

    async def _told(self, tenant: str, names: list[str]) -> list[dict[str, Any]]:
        streams = {name: StreamName(KIND, tenant, name) for name in names}
        loaded = await self._store.load(list(streams.values()))
        told = []
        for row in await self._pool.fetch(DEPTH, tenant, names):
            name, oldest = row["queue"], row["oldest"]
            found = loaded.get(streams[name])
            queue = Queue.replayed(found.events, found.snapshot) if found else None  # type: ignore[arg-type]
            settings = (
                queue.settings if queue and queue.settings else with_bursts({**DEFAULTS, **self._files.get(name, {})})
            )
            told.append(
                {
                    "name": name,
                    "paused": queue.paused if queue else False,
                    **settings,
                    "ready": row["ready"],
                    "running": row["running"],
                    "waiting": from_json(row["waiting"]),
                    "oldest": None if oldest is None else max(oldest, timedelta()).total_seconds(),
                }
            )
        return told


async def follow_file(commits: GroupCommit, files: Mapping[str, Mapping[str, Any]]) -> None:
    """Has every queue that was not configured by command follow the configuration file, in all processes."""
    told = {name: rules(with_bursts({**DEFAULTS, **settings})) for name, settings in files.items()}
    text = to_json(told).decode()
    await commits.perform(lambda connection: connection.execute(FOLLOW_FILE, text))


async def weigh_tenants(commits: GroupCommit, weights: Mapping[str, float]) -> None:
    """Has tenants get these parts of the workers that they share; 1 where nothing is said."""
    text = to_json(dict(weights)).decode()
    await commits.perform(lambda connection: connection.execute(WEIGH_TENANTS, text))
