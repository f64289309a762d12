"""What the database writes when it grants a job is what the mapper would have written."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import asyncpg

from adapters.contracts.work_queue import Workshop
from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.group_commit import GroupCommit
from adapters.postgres.mapper import EventMapper
from adapters.postgres.tail import EventTail
from adapters.postgres.work_queue import PostgresWorkQueue
from domain.aggregate import Event
from domain.job import KIND
from domain.job_events import Started
from domain.ports import ClaimRequest, EventStore, StreamName, WorkQueue
from tests.support.stores import TENANT, append, storing
from tests.support.systems import claimed, enqueued, system, told

WORKER = 'w-5 "quoted" größe'


class Bench(NamedTuple):
    queue: WorkQueue
    store: EventStore


async def test_a_start_is_stored_as_the_mapper_stores_it(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as running:
        job_id = await enqueued(running)
        await claimed(running, worker=WORKER)
        connection = await asyncpg.connect(fresh_database_url)
        try:
            row = await connection.fetchrow("SELECT * FROM stored_events WHERE originator_version = 2")
        finally:
            await connection.close()
    assert row is not None
    start = Started(row["originator_id"], 2, row["recorded_at"], attempt=1, worker=WORKER)
    stored = EventMapper().to_stored_event(start)
    assert (row["topic"], bytes(row["state"])) == (stored.topic, stored.state)
    assert (row["event_type"], row["kind"], row["subject"]) == (start.routing_name, KIND, job_id)


async def test_a_start_in_memory_is_the_one_in_the_database(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as running:
        await told(
            running, "job.enqueue", {"name": "transcribe"}, correlation_id="c-31", company="north",
            traceparent="00-aa-bb-01",
        )  # fmt: skip
        await claimed(running)
        kept = await running.storage.store.read(0, 10)
        async with storing(fresh_database_url) as other:
            assert await other.store.read(0, 10) == kept
    assert [event.event_type for event in kept] == ["job.enqueued", "job.started"]
    assert kept[1].metadata.correlation_id == "c-31"


async def test_trouble_with_a_grant_that_is_stored_leaves_nobody_waiting(fresh_database_url: str) -> None:
    """The lease lapses then and the job is granted again; what was answered stays true."""

    def fails(stream: StreamName, event: Event, position: int) -> None:
        raise RuntimeError("somebody who watches starts failed")

    async with system(fresh_database_url) as running:
        running.storage.queue.observe(fails)
        job_id = await enqueued(running)
        async with asyncio.timeout(60):
            assert await claimed(running, worker=WORKER) == []
        history = await running.storage.store.history(StreamName(KIND, TENANT, job_id))
    assert [event.event_type for event in history] == ["job.enqueued", "job.started"]


async def test_followers_give_way_only_to_whom_a_flush_answers_or_grants_something(fresh_database_url: str) -> None:
    rings: list[tuple[int, bool]] = []

    async with storing(fresh_database_url) as storage:
        tail = EventTail()
        connect = Database(fresh_database_url).connect_writer
        commits = GroupCommit(connect, tail, lambda head, kinds, awaited: rings.append((head, awaited)))
        queue = PostgresWorkQueue(commits, storage.pool)
        store = PostgresEventStore(storage.pool, commits, EventMapper(), tail)
        commits.start(queue.claims)
        try:
            await store.append([append("unasked")])
            await store.append([append("asked", command="m-1")])
            await Workshop(Bench(queue, store)).enqueue("job-1")
            await queue.claim(ClaimRequest(TENANT, "w-5", ("default",), 1, 0.0))
        finally:
            await commits.stop()
    assert rings == [(1, False), (2, True), (3, False), (4, True)]
