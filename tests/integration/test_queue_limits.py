"""Caps and rates of queues, names and keys: exact over all processes, whatever happens to jobs that have a slot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from infra.bootstrap import System
from millrace.contracts.wire import Accepted
from tests.support.eventually import eventually
from tests.support.slots import exact
from tests.support.systems import batch, claimed, context, enqueued, executed, job, reported, system, told


@pytest.fixture
async def running(fresh_database_url: str) -> AsyncIterator[System]:
    async with system(fresh_database_url) as it:
        yield it


@pytest.fixture
async def connection(fresh_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(fresh_database_url)
    yield connection
    await connection.close()


async def configured(running: System, name: str = "default", **settings: Any) -> None:
    await told(running, "queue.configure", {"name": name, **settings})


async def standing(connection: asyncpg.Connection) -> dict[str, int]:
    rows = await connection.fetch("SELECT reason, count(*) AS n FROM waiting GROUP BY 1")
    return {row["reason"]: row["n"] for row in rows}


async def test_no_more_jobs_of_a_queue_run_than_its_cap(running: System, connection: asyncpg.Connection) -> None:
    await configured(running, concurrency=2)
    await batch(running, "job.enqueue", [{"name": "transcribe"}] * 5)
    grants = await claimed(running, slots=5)
    assert len(grants) == 2
    assert await claimed(running, slots=5, worker="w-6") == []
    assert await standing(connection) == {"capped": 3}
    await reported(running, grants[0])
    assert len(await claimed(running, slots=5, worker="w-6")) == 1
    assert await exact(connection) == [("acme", "default", "queue:", 0, 2)]


async def test_names_and_keys_have_caps_of_their_own(running: System, connection: asyncpg.Connection) -> None:
    await configured(running, per_name={"transcribe": {"concurrency": 2}}, per_key={"concurrency": 1})
    wishes = [{"name": "transcribe", "key": key} for key in ("a", "a", "b", "c")]
    await batch(
        running, "job.enqueue", [*wishes, {"name": "resize", "key": "a"}, {"name": "resize"}, {"name": "resize"}]
    )
    grants = await claimed(running, slots=10)
    # The second of `a` waits for its key, `c` for the name, and what has no key is free.
    assert [grant["name"] for grant in grants] == ["transcribe", "transcribe", "resize", "resize"]
    assert await exact(connection) == [
        ("acme", "default", "key:a", 0, 1), ("acme", "default", "key:b", 0, 1), ("acme", "default", "key:c", 1, 0),
        ("acme", "default", "name:transcribe", 0, 2),
    ]  # fmt: skip
    await reported(running, grants[0])
    assert [grant["name"] for grant in await claimed(running, slots=10)] == ["transcribe"]
    await exact(connection)


async def test_a_better_job_takes_the_slot_of_one_that_does_not_run_yet(
    running: System, connection: asyncpg.Connection
) -> None:
    await configured(running, concurrency=1, per_key={"concurrency": 1})
    low = await enqueued(running, priority=1, key="a")
    high = await enqueued(running, priority=9, key="a")
    highest = await enqueued(running, priority=10, key="b")
    await exact(connection)
    order = []
    for _ in range(3):
        (grant,) = await claimed(running, slots=5)
        order.append(grant["job_id"])
        await exact(connection)
        await reported(running, grant)
    assert order == [highest, high, low]
    assert await exact(connection) == []


@pytest.mark.parametrize("end", ["completed", "failed", "returned", "cancelled", "lost"])
async def test_however_an_attempt_ends_the_next_job_gets_its_slot(
    running: System, connection: asyncpg.Connection, end: str
) -> None:
    await configured(running, concurrency=1)
    first, second = await enqueued(running, priority=1, max_attempts=1), await enqueued(running)
    (grant,) = await claimed(running, slots=2)
    assert grant["job_id"] == first
    claiming = asyncio.create_task(claimed(running, worker="w-6", wait=20))
    match end:
        case "cancelled":
            await told(running, "job.cancel", {"job_id": first})
        case "lost":
            await told(running, "job.renew", {"worker": "w-5", "attempts": [{"job_id": first, "attempt": 1}]})
            await connection.execute("UPDATE leases SET expires_at = clock_timestamp() - interval '1 s'")
        case _:
            await reported(running, grant, end)
    (following,) = await asyncio.wait_for(claiming, 20)
    # What was handed back comes before those of lower priority.
    assert following["job_id"] == (first if end == "returned" else second)
    await exact(connection)


async def test_a_limit_that_is_set_later_counts_what_runs_already(
    running: System, connection: asyncpg.Connection
) -> None:
    await batch(running, "job.enqueue", [{"name": "transcribe"}] * 6)
    grants = await claimed(running, slots=3)
    await configured(running, concurrency=2)
    assert await exact(connection) == [("acme", "default", "queue:", 0, 3)]
    assert await standing(connection) == {"capped": 3}
    for grant in grants[:2]:
        await reported(running, grant)
    assert len(await claimed(running, slots=3)) == 1
    await configured(running, concurrency=None)
    assert await standing(connection) == {}
    assert len(await claimed(running, slots=3)) == 2


async def test_starts_come_no_faster_than_their_rate(running: System, connection: asyncpg.Connection) -> None:
    await configured(running, rate={"limit": 2, "period": 0.5, "burst": 2})
    await batch(running, "job.enqueue", [{"name": "transcribe"}] * 8)
    assert (await job(running, await enqueued(running)))["status"] == "pending"
    assert set(await standing(connection)) == {"rate_limited"}
    granted = 0
    async with asyncio.timeout(60):
        while granted < 9:
            granted += len(await claimed(running, slots=9, wait=5))
            await exact(connection)
    times = await connection.fetch("SELECT recorded_at FROM stored_events WHERE topic = 'job.started' ORDER BY 1")
    at = [row["recorded_at"] for row in times]
    for first in range(9):
        for last in range(first + 2, 9):
            # Whatever the window: at most the burst and what the rate gives in it, by the database's clock.
            assert last - first + 1 <= 2 + (at[last] - at[first]).total_seconds() / 0.25 + 1e-3


async def test_a_rate_and_a_cap_hold_together(running: System, connection: asyncpg.Connection) -> None:
    await configured(running, concurrency=1, rate={"limit": 10, "period": 1, "burst": 1})
    await batch(running, "job.enqueue", [{"name": "transcribe"}] * 4)
    async with asyncio.timeout(60):
        for _ in range(4):
            (grant,) = await claimed(running, slots=4, wait=10)
            assert await claimed(running, slots=4, worker="w-6") == []
            await reported(running, grant)
            await exact(connection)


async def test_a_job_that_becomes_due_joins_those_who_wait_for_the_slot(
    running: System, connection: asyncpg.Connection
) -> None:
    await configured(running, concurrency=1)
    await enqueued(running)
    later = await enqueued(running, priority=5, delay=3_600)
    (grant,) = await claimed(running)
    await connection.execute("UPDATE waiting SET due_at = clock_timestamp()")
    claiming = asyncio.create_task(claimed(running, worker="w-6", wait=20))
    await eventually(lambda: standing(connection), lambda found: found == {"capped": 1})
    await reported(running, grant)
    assert [grant["job_id"] for grant in await asyncio.wait_for(claiming, 20)] == [later]


async def test_two_processes_never_exceed_a_cap_and_lose_no_job(
    running: System, connection: asyncpg.Connection, fresh_database_url: str
) -> None:
    """Claims, results, cancels, changes and hand-backs from two processes at once."""
    await configured(running, concurrency=6, per_key={"concurrency": 2}, per_name={"resize": {"concurrency": 3}})
    async with system(fresh_database_url) as other, asyncio.timeout(90):
        sides = [running, other]
        wishes = [
            {"name": "resize" if n % 3 else "transcribe", "key": f"k-{n % 7}", "priority": n % 5} for n in range(240)
        ]
        made = [a for n in (0, 1) for a in await batch(sides[n], "job.enqueue", wishes[n::2])]
        jobs = [str(answer.result["job_id"]) for answer in made if isinstance(answer, Accepted)]

        async def work(side: System, worker: str) -> None:
            idle = 0
            while idle < 3:
                grants = await claimed(side, slots=2, worker=worker, wait=0.7)
                idle = 0 if grants else idle + 1
                for n, grant in enumerate(grants):
                    outcome = "returned" if grant["attempt"] == 1 and not n else "completed"
                    body = {"job_id": grant["job_id"], "attempt": grant["attempt"], "outcome": outcome}
                    reply = await executed(side, "job.report", body, context())
                    # Somebody may have cancelled it meanwhile.
                    assert isinstance(reply, Accepted) or reply.problem.code == "stale-attempt", reply

        async def disturb(side: System, ids: list[str]) -> None:
            for n, job_id in enumerate(ids):
                command = "job.cancel" if n % 2 else "job.change"
                body = {"job_id": job_id} | ({} if n % 2 else {"priority": n % 9})
                reply = await executed(side, command, body, context())
                assert isinstance(reply, Accepted) or reply.problem.code == "refused", reply

        async def watch() -> None:
            while True:
                for _, _, slot, held, runs in await exact(connection):
                    assert held + runs <= (6 if slot == "queue:" else 2 if slot.startswith("key:") else 3)
                await asyncio.sleep(0.05)

        watching = asyncio.create_task(watch())
        await asyncio.gather(
            *(work(side, f"w-{n}") for n, side in enumerate(sides * 3)),
            *(disturb(side, jobs[n::6]) for n, side in enumerate(sides)),
        )
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        assert watching.cancelled(), watching
        statuses = {(await job(running, job_id))["status"] for job_id in jobs}
    assert statuses <= {"completed", "cancelled"}
    assert await exact(connection) == []


async def test_a_large_queue_is_placed_anew_some_at_a_time_and_meanwhile_grants_nothing(
    running: System, connection: asyncpg.Connection
) -> None:
    """No change of rules keeps the append lock for longer than a flush may take, however much waits."""
    await batch(running, "job.enqueue", [{"name": "transcribe", "key": f"k-{n % 9}"} for n in range(100)])
    await connection.execute(
        "INSERT INTO ready (stream, tenant, job_id, queue, rank, position, version, attempt, task, name, key)"
        " SELECT stream || '-' || n, tenant, job_id || '-' || n, queue, rank, position, version, attempt, task, name,"
        " key FROM ready, generate_series(1, 99) AS n"
    )
    await configured(running, concurrency=3, per_key={"concurrency": 2})
    assert await connection.fetchval("SELECT settling FROM queue_rules") > 0
    assert await claimed(running, slots=5) == []
    await eventually(lambda: connection.fetchval("SELECT settling = 0 FROM queue_rules"), seconds=30)
    await exact(connection)
    assert await standing(connection) == {"capped": 9_997}
    assert len(await claimed(running, slots=5)) == 3
    await configured(running, concurrency=4)
    assert len(await claimed(running, slots=5)) == 1
    await configured(running, concurrency=None, per_key=None)
    await eventually(lambda: connection.fetchval("SELECT settling = 0 FROM queue_rules"), seconds=30)
    assert await standing(connection) == {}
    assert await connection.fetchval("SELECT count(*) FROM ready") == 9_996


async def test_keys_without_work_are_forgotten(running: System, connection: asyncpg.Connection) -> None:
    await configured(running, per_key={"concurrency": 1}, order="fair")
    for key in ("a", "b"):
        await enqueued(running, key=key)
    (grant,) = await claimed(running)
    await reported(running, grant)
    await claimed(running)
    await running.storage.queue.tidy()
    assert [row["slot"] for row in await connection.fetch("SELECT slot FROM queue_slots")] == ["key:b"]
    assert await connection.fetchval("SELECT count(*) FROM queue_keys") == 0
    await exact(connection)


async def test_a_limit_that_is_lowered_takes_the_slots_of_the_last_and_a_higher_one_gives_more(
    running: System, connection: asyncpg.Connection
) -> None:
    await configured(running, concurrency=5, per_name={"transcribe": {"concurrency": 4}})
    made = [await enqueued(running, priority=9 - n) for n in range(8)]
    assert await exact(connection) == [
        ("acme", "default", "name:transcribe", 4, 0), ("acme", "default", "queue:", 4, 0),
    ]  # fmt: skip
    await configured(running, concurrency=2)
    assert [row["job_id"] for row in await connection.fetch("SELECT job_id FROM ready ORDER BY rank")] == made[:2]
    await exact(connection)
    await configured(running, per_name={"transcribe": {"concurrency": 1}})
    assert await exact(connection) == [
        ("acme", "default", "name:transcribe", 1, 0), ("acme", "default", "queue:", 1, 0),
    ]  # fmt: skip
    await configured(running, concurrency=6, per_name={"transcribe": {"concurrency": 7}})
    assert [grant["job_id"] for grant in await claimed(running, slots=8)] == made[:6]
    await configured(running, concurrency=3)
    await exact(connection)
    assert await claimed(running, slots=8) == []
