"""Everything that stands on PostgreSQL, built and started in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from adapters.postgres.clock import DatabaseClock
from adapters.postgres.database import Database, Pool
from adapters.postgres.doorbell import PostgresDoorbell
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.group_commit import GroupCommit
from adapters.postgres.job_logs import PostgresJobLogs
from adapters.postgres.mapper import EventMapper
from adapters.postgres.old_rows import OldRows
from adapters.postgres.positions import ReaderPositions
from adapters.postgres.readers import PostgresReaders
from adapters.postgres.tail import EventTail
from adapters.postgres.work_queue import PostgresWorkQueue
from infra.settings_jobs import Leases


@dataclass(slots=True)
class Storage:
    """The store and its parts, running."""

    pool: Pool
    commits: GroupCommit
    store: PostgresEventStore
    queue: PostgresWorkQueue
    doorbell: PostgresDoorbell
    readers: PostgresReaders
    positions: ReaderPositions
    clock: DatabaseClock
    job_logs: PostgresJobLogs
    old_rows: OldRows
    epoch: str

    @classmethod
    async def started(cls, database: Database, mapper: EventMapper, leases: Leases) -> Self:
        """Connects and starts; the schema must be there already."""
        pool = await database.pool()
        try:
            return await cls._on(pool, database, mapper, leases)
        except BaseException:
            pool.terminate()
            raise

    @classmethod
    async def _on(cls, pool: Pool, database: Database, mapper: EventMapper, leases: Leases) -> Self:
        clock = DatabaseClock()
        await clock.look(pool)
        readers = PostgresReaders(pool, database.connect_follower)
        positions = ReaderPositions(readers)
        # The queue and the doorbell tell each other: a ring from another process may mean work for a held claim.
        doorbell = PostgresDoorbell(
            database.connect_follower, lambda: queue.stir(), lambda: commits.in_burst(), positions.trust
        )
        tail = EventTail()
        commits = GroupCommit(database.connect_writer, tail, doorbell.ring)
        queue = PostgresWorkQueue(
            commits,
            pool,
            lease=leases.duration,
            grant_lease=leases.unconfirmed,
        )
        store = PostgresEventStore(pool, commits, mapper, tail)
        job_logs, old_rows = PostgresJobLogs(pool), OldRows(pool, database.connect_follower)
        head, epoch = await store.head(), await store.epoch()
        doorbell.start(head)
        commits.start(queue.claims)
        return cls(pool, commits, store, queue, doorbell, readers, positions, clock, job_logs, old_rows, epoch)

    async def stop(self) -> None:
        await self.commits.stop()
        await self.doorbell.stop()
        self.pool.terminate()
