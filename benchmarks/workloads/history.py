"""Appends as the service's handlers make them, from the real domain, for what is measured without clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from adapters.postgres.database import Database
from adapters.postgres.mapper import EventMapper
from domain.job import KIND, Job
from domain.job_events import Completed, Started
from domain.ports import Append, Appended, Metadata, StreamName
from infra.collector import calm_collector
from infra.logging import configure_logging
from infra.migrate import migrate
from infra.settings import Logging
from infra.settings_jobs import Leases
from infra.storage import Storage
from projections.registry import projections
from projections.work import work_of

TENANT = "default"
RETRY = {"kind": "exponential", "delay": 1.0, "factor": 2.0, "max_delay": 3600.0, "jitter": 0.1}
PARALLEL = 16
BATCH = 250


@asynccontextmanager
async def storing(dsn: str) -> AsyncIterator[Storage]:
    """The store of one process, on a migrated database, in a process like the service's."""
    configure_logging(Logging(level="warning"))
    database = Database(dsn)
    connection = await database.connect(command_timeout=None)
    try:
        await migrate(connection, projections())
    finally:
        await connection.close()
    storage = await Storage.started(database, EventMapper(), Leases())
    calm_collector()
    try:
        yield storage
    finally:
        await storage.stop()


def runnable(name: str, queue: str = "bench", run_at: datetime | None = None) -> Append:
    """A job that has just been enqueued, with its inline row."""
    stream, meta = StreamName(KIND, TENANT, name), Metadata(TENANT)
    job = Job.enqueue(
        stream.text,
        datetime.now(UTC),
        name="nop",
        data={"i": 1},
        queue=queue,
        priority=0,
        max_attempts=3,
        timeout=300.0,
        retry=RETRY,
        run_at=run_at,
    )
    return Append(stream, 0, job.collected(), meta, work=work_of(job, None, meta))


def histories(count: int) -> list[list[Append]]:
    """Three rounds of appends: that many jobs enqueued, then all started, then all completed.

    As a long queue leaves it: no two events of a job are near each other, so nothing that reads pages can fold them.
    """
    first = [runnable(f"j{number}") for number in range(count)]
    now = datetime.now(UTC)
    names = [each.stream for each in first if each.stream is not None]
    return [
        [Append(each.stream, 0, each.events, each.metadata) for each in first],
        [Append(name, 1, [Started(name.text, 2, now, 1, "bench")], Metadata(TENANT)) for name in names],
        [Append(name, 2, [Completed(name.text, 3, now, 1, 1)], Metadata(TENANT)) for name in names],
    ]


async def store(storage: Storage, appends: Sequence[Append]) -> None:
    """Appends everything, with as many calls under way as a busy service has.

    Raises:
        RuntimeError: the store did not take an append.
    """
    batches = iter([appends[start : start + BATCH] for start in range(0, len(appends), BATCH)])

    async def caller() -> None:
        for batch in batches:
            for outcome in await storage.store.append(batch):
                if not isinstance(outcome, Appended):
                    raise RuntimeError(f"an append came to {outcome}")

    await asyncio.gather(*(caller() for _ in range(PARALLEL)))
