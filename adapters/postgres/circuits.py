"""The circuits as the claims know them, and what is counted of attempts; answers `circuit.get` and `circuit.list`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
from pydantic_core import from_json

from adapters.postgres.errors import translated
from adapters.postgres.group_commit import GroupCommit
from adapters.postgres.log_queries import NoSuchAggregate
from domain.circuit import KIND
from domain.ports import AttemptCount, CircuitRow, CircuitSum
from handlers.circuit import Policies
from handlers.routes import QueryRoute
from millrace.contracts import circuit as contract
from millrace.contracts.wire import Context

CIRCUITS = """
SELECT tenant, name, state, (policy ->> 'enabled')::boolean AS enabled,
       state = 'open' AND until <= clock_timestamp() AS is_due
  FROM circuits
"""
ADD = """
INSERT INTO circuit_counts AS c (tenant, name, started_at, ended_at, completed, failed)
SELECT n.tenant, n.name, n.started_at, n.ended_at,
       sum(n.number) FILTER (WHERE n.ok), sum(n.number) FILTER (WHERE NOT n.ok)
  FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::boolean[], $6::int[])
       AS n(tenant, name, started_at, ended_at, ok, number)
 GROUP BY 1, 2, 3, 4
ON CONFLICT (tenant, name, ended_at, started_at) DO UPDATE
   SET completed = coalesce(c.completed, 0) + coalesce(excluded.completed, 0),
       failed = coalesce(c.failed, 0) + coalesce(excluded.failed, 0)
"""
# After a change of state only that counts which came after it; on trial only what started after it.
SUMS = """
SELECT k.tenant, k.name, coalesce(c.state, 'closed') AS state, c.policy::text AS policy,
       coalesce(sum(k.completed), 0)::int AS completed, coalesce(sum(k.failed), 0)::int AS failed
  FROM circuit_counts k
  LEFT JOIN circuits c ON c.tenant = k.tenant AND c.name = k.name
  LEFT JOIN unnest($1::text[], $2::float8[]) AS f(name, secs) ON f.name = k.name AND c.name IS NULL
 WHERE (c.name IS NOT NULL OR f.name IS NOT NULL)
   AND k.ended_at > clock_timestamp() - make_interval(secs => coalesce((c.policy ->> 'window')::float8, f.secs) + 1)
   AND CASE coalesce(c.state, 'closed') WHEN 'half_open' THEN k.started_at >= c.since WHEN 'open' THEN false
            ELSE c.since IS NULL OR k.ended_at >= c.since END
 GROUP BY 1, 2, 3, 4
"""
LET_THROUGH = "SELECT let_through()"
STANDING = """
SELECT EXISTS (SELECT FROM waiting WHERE reason = 'circuit_open')
    OR EXISTS (SELECT FROM circuits WHERE state <> 'closed')
"""
TOLD = """
SELECT c.name, c.state, c.reason, c.until, c.policy::text AS policy,
       (SELECT count(*) FROM waiting w
         WHERE w.tenant = c.tenant AND w.name = c.name AND w.reason = 'circuit_open') AS held
  FROM circuits c WHERE c.tenant = $1 AND ($2::text IS NULL OR c.name = $2) ORDER BY c.name
"""


class PostgresCircuits:
    """Implements `domain.ports.CircuitBook`, and answers the queries."""

    def __init__(self, commits: GroupCommit, pool: asyncpg.Pool[asyncpg.Record], files: Policies) -> None:
        self._commits, self._pool, self._files = commits, pool, files

    def routes(self) -> dict[str, QueryRoute]:
        return {
            "circuit.get": QueryRoute(contract.GetCircuit, self._get),
            "circuit.list": QueryRoute(contract.ListCircuits, self._list),
        }

    @translated
    async def circuits(self) -> list[CircuitRow]:
        return [CircuitRow(**row) for row in await self._pool.fetch(CIRCUITS)]

    @translated
    async def add(self, counts: Sequence[AttemptCount]) -> None:
        await self._pool.execute(ADD, *map(list, zip(*counts, strict=True)))

    @translated
    async def sums(self, windows: Mapping[str, float]) -> list[CircuitSum]:
        rows = await self._pool.fetch(SUMS, list(windows), list(windows.values()))
        return [CircuitSum(**{**row, "policy": row["policy"] and from_json(row["policy"])}) for row in rows]

    @translated
    async def let_through(self) -> None:
        if await self._pool.fetchval(STANDING):
            await self._commits.perform(lambda connection: connection.execute(LET_THROUGH))

    @translated
    async def _get(self, query: contract.GetCircuit, context: Context) -> dict[str, Any]:
        found = {each["name"]: each for each in await self._told(context.tenant, query.name)}
        if query.name not in found:
            raise NoSuchAggregate(KIND, query.name)
        return {"circuit": found[query.name]}

    @translated
    async def _list(self, _: contract.ListCircuits, context: Context) -> dict[str, Any]:
        return {"circuits": await self._told(context.tenant, None)}

    async def _told(self, tenant: str, name: str | None) -> list[dict[str, Any]]:
        """The tenant's circuits, and those of the configuration file that nobody has needed yet."""
        told = {
            each: {"name": each, "state": "closed", "policy": policy.model_dump()}
            for each, policy in self._files.items()
            if name in (None, each)
        }
        for row in await self._pool.fetch(TOLD, tenant, name):
            told[row["name"]] = {**row, "policy": from_json(row["policy"])}
        return [told[each] for each in sorted(told)]
