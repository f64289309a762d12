"""Which batches have a progress that has not been told of their newest counts."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from adapters.postgres.database import Connection
from adapters.postgres.errors import translated
from adapters.postgres.group_commit import GroupCommit
from domain.batch import KIND
from domain.ports import BatchTally, StreamName
from domain.progress_jobs import JobCounts

COUNTS = "total, open, completed, failed, cancelled, is_sealed, is_cancelled"
# The head is read with the counts: they follow from the events up to it, and from no other.
UNTOLD = f"""
SELECT tenant, id, {COUNTS}, (SELECT head FROM store) AS as_of FROM batches
 WHERE told <> ARRAY[total, open, completed, failed, cancelled, is_sealed::integer, is_cancelled::integer] LIMIT $1
"""
TOLD = """
UPDATE batches b SET told = string_to_array(n.told, ',')::integer[]
  FROM unnest($1::text[], $2::text[]) AS n(stream, told) WHERE b.stream = n.stream
"""


class PostgresTrackedBatches:
    """Implements `domain.ports.TrackedBatches`. Rows of batches are locked by nobody but who holds the append lock."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], commits: GroupCommit) -> None:
        self._pool, self._commits = pool, commits

    @translated
    async def untold(self, limit: int) -> list[BatchTally]:
        rows = await self._pool.fetch(UNTOLD, limit)
        return [BatchTally(tenant, id, JobCounts(*counts)) for tenant, id, *counts in rows]

    @translated
    async def note_told(self, tallies: Sequence[BatchTally]) -> None:
        if not tallies:
            return
        rows = [
            (StreamName(KIND, tally.tenant, tally.batch_id).text, ",".join(str(int(n)) for n in tally.counts[:-1]))
            for tally in tallies
        ]

        async def run(connection: Connection) -> None:
            await connection.execute(TOLD, *zip(*rows, strict=True))

        await self._commits.perform(run)
