"""In which order jobs are granted: paused queues, changed jobs, aging, fair shares; and what that costs a claim."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from infra.bootstrap import System
from millrace.contracts.wire import Accepted, Refused
from tests.support.eventually import eventually
from tests.support.systems import (
    TENANT,
    answered,
    asked,
    batch,
    claimed,
    context,
    enqueued,
    executed,
    history,
    job,
    refused,
    reported,
    system,
    told,
)

TOUCHED = """
SELECT relname, seq_scan, seq_tup_read, idx_tup_fetch FROM pg_stat_xact_user_tables
 WHERE relname IN ('ready', 'waiting') ORDER BY relname
"""
OTHERS = "SELECT count(*) - 1 FROM pg_stat_activity WHERE datname = current_database()"
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
SERVE = """
SELECT cardinality(granted) AS n
  FROM serve_claims(ARRAY[ROW(0, $1::text, ARRAY['default', 'other'], 1, 'w-5', NULL, NULL)::claim_to_serve],
                    interval '5 s', 1000000, '00000000-0000-8000-8000-', 0)
"""


@pytest.fixture
async def running(fresh_database_url: str) -> AsyncIterator[System]:
    async with system(fresh_database_url) as it:
        yield it


@pytest.fixture
async def connection(fresh_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(fresh_database_url)
    yield connection
    await connection.close()


async def drained(running: System, slots: int = 1, **given: Any) -> list[str]:
    """The ids of all jobs that can be had, in the order in which they are granted."""
    order: list[str] = []
    while grants := await claimed(running, slots=slots, **given):
        order += [grant["job_id"] for grant in grants]
        for grant in grants:
            await reported(running, grant)
    return order


async def test_a_paused_queue_grants_nothing_in_any_process(running: System, fresh_database_url: str) -> None:
    async with system(fresh_database_url) as other:
        paused, free = await enqueued(running), await enqueued(running, queue="other")
        await told(running, "queue.pause", {"name": "default", "reason": "the disk is full"})
        assert [g["job_id"] for g in await claimed(other, slots=5, queues=["default", "other"])] == [free]
        later = await enqueued(other)
        claiming = asyncio.create_task(claimed(other, slots=5, wait=20))
        queue = (await asked(other, "queue.get", {"name": "default"}))["queue"]
        assert (queue["paused"], queue["ready"], queue["running"]) == (True, 2, 0)
        await told(other, "queue.resume", {"name": "default"})
        assert [grant["job_id"] for grant in await asyncio.wait_for(claiming, 20)] == [paused, later]
        assert await history(running, "default", "queue") == ["queue.opened", "queue.paused", "queue.resumed"]


async def test_what_runs_in_a_paused_queue_goes_on(running: System) -> None:
    await enqueued(running)
    (grant,) = await claimed(running)
    await told(running, "queue.pause", {"name": "default"})
    assert (await reported(running, grant)).result["status"] == "completed"


async def test_pausing_twice_is_pausing_once(running: System) -> None:
    for _ in range(2):
        assert (await told(running, "queue.pause", {"name": "default"})).result == {"name": "default", "paused": True}
    assert await history(running, "default", "queue") == ["queue.opened", "queue.paused"]


async def test_a_waiting_job_is_changed_and_a_running_or_ended_one_is_not(
    running: System, connection: asyncpg.Connection
) -> None:
    first, second, third = [await enqueued(running) for _ in range(3)]
    await told(running, "job.change", {"job_id": third, "priority": 5})
    await told(running, "job.change", {"job_id": first, "data": {"file": "b-2.wav"}})
    (grant,) = await claimed(running)
    assert grant["job_id"] == third
    assert await refused(running, "job.change", {"job_id": third, "priority": 1}) == "refused"
    (grant,) = await claimed(running)
    # Other arguments cost the job nothing of its place.
    assert (grant["job_id"], grant["data"]) == (first, {"file": "b-2.wav"})
    await told(running, "job.change", {"job_id": second, "queue": "high_priority", "delay": 3_600})
    found = await job(running, second)
    assert (found["queue"], found["status"]) == ("high_priority", "delayed")
    await told(running, "job.change", {"job_id": second, "delay": 0})
    (grant,) = await claimed(running, queues=["high_priority"])
    assert (grant["job_id"], grant["queue"]) == (second, "high_priority")
    await told(running, "job.cancel", {"job_id": second})
    assert await refused(running, "job.change", {"job_id": second, "priority": 1}) == "refused"
    assert await refused(running, "job.change", {"job_id": second}) == "invalid"
    assert await history(running, second) == [
        "job.enqueued", "job.changed", "job.changed", "job.started", "job.cancelled",
    ]  # fmt: skip
    for table in ("ready", "waiting"):
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0


async def test_a_change_that_changes_nothing_records_nothing(running: System) -> None:
    job_id = await enqueued(running, priority=3, data={"a": 1})
    await told(running, "job.change", {"job_id": job_id, "priority": 3, "data": {"a": 1}, "delay": 0})
    assert await history(running, job_id) == ["job.enqueued"]


async def test_a_job_that_waits_for_others_is_changed_where_it_waits(running: System) -> None:
    parent = await enqueued(running)
    child = await enqueued(running, after=[parent], priority=1)
    await told(running, "job.change", {"job_id": child, "priority": 9, "queue": "other"})
    await told(running, "job.change", {"job_id": child, "data": {"n": 2}})
    assert (await job(running, child))["status"] == "delayed"
    queue = (await asked(running, "queue.get", {"name": "other"}))["queue"]
    assert (queue["ready"], queue["waiting"]) == (0, {"dependent": 1})
    (grant,) = await claimed(running, slots=5, queues=["default", "other"])
    assert grant["job_id"] == parent
    await reported(running, grant)
    (grant,) = await claimed(running, slots=5, queues=["default", "other"])
    assert (grant["job_id"], grant["priority"], grant["data"]) == (child, 9, {"n": 2})
    drained_child = await enqueued(running, after=[await enqueued(running, queue="other")])
    assert (await told(running, "queue.drain", {"name": "default"})).result["cancelled"] == 1
    assert (await job(running, drained_child))["status"] == "cancelled"


async def test_claims_changes_and_cancels_race_without_a_deadlock(
    connection: asyncpg.Connection, fresh_database_url: str
) -> None:
    async with system(fresh_database_url) as running, system(fresh_database_url) as other, asyncio.timeout(120):
        made = await batch(running, "job.enqueue", [{"name": "transcribe"}] * 150)
        jobs = [str(answer.result["job_id"]) for answer in made if isinstance(answer, Accepted)]
        sides = [running, other]
        commands = [("job.cancel", {}), ("job.change", {"priority": 4}), ("job.change", {"queue": "other"})]
        telling = [
            executed(sides[(n + m) % 2], command, {"job_id": job_id, **body}, context())
            for n, job_id in enumerate(jobs)
            for m, (command, body) in enumerate(commands[n % 3 :])
        ]
        claiming = [claimed(sides[n % 2], slots=3, worker=f"w-{n}", queues=["default", "other"]) for n in range(60)]
        answers, grants = await asyncio.gather(asyncio.gather(*telling), asyncio.gather(*claiming))
        codes = {answer.problem.code for answer in answers if isinstance(answer, Refused)}
        assert codes <= {"refused"}, "a job that has begun or ended is not changed"
        for grant in (grant for found in grants for grant in found):
            ended = (await job(running, grant["job_id"]))["status"] == "cancelled"
            if not ended:
                await reported(other, grant)
        await drained(running, slots=50, queues=["default", "other"])
        assert {(await job(running, job_id))["status"] for job_id in jobs} <= {"completed", "cancelled"}
    for table in ("ready", "waiting", "leases"):
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0
    # Whoever meets one tries again, so only the server tells; it does when a session ends.
    await eventually(lambda: connection.fetchval(OTHERS), lambda sessions: sessions == 0)
    assert await connection.fetchval(DEADLOCKS) == 0


async def test_with_aging_a_point_of_priority_is_worth_so_many_seconds(
    running: System, connection: asyncpg.Connection
) -> None:
    await told(running, "queue.configure", {"name": "default", "order": "aging", "aging": 10})
    waited = await enqueued(running, priority=-100)
    fresh = await enqueued(running, priority=100)
    # As if the first had been ready 2,001 s earlier than it was: 200 points are worth 2,000 s.
    await connection.execute("UPDATE ready SET rank = rank - 2001 WHERE job_id = $1", waited)
    assert await drained(running) == [waited, fresh]


async def test_with_aging_no_job_starves_under_a_stream_of_better_ones(running: System) -> None:
    """Strictly, one job of high priority after another would keep the low one back for ever."""
    await told(running, "queue.configure", {"name": "default", "order": "aging", "aging": 0.01})
    low = await enqueued(running, priority=-50)
    passed_by = []
    async with asyncio.timeout(60):
        while True:
            await batch(running, "job.enqueue", [{"name": "transcribe", "priority": 50}] * 2)
            (grant,) = await claimed(running)
            await reported(running, grant)
            if grant["job_id"] == low:
                break
            passed_by.append(grant["created_at"])
    assert passed_by, "while it is young, better ones come first"
    # 100 points at 0.01 s each; half a second more for the clocks of the service and of the database to differ.
    bound = (await job(running, low))["created_at"] + timedelta(seconds=1.5)
    assert all(datetime.fromisoformat(made) <= bound for made in passed_by)
    assert (await asked(running, "queue.get", {"name": "default"}))["queue"]["ready"] > 0


async def test_a_queue_that_turns_to_another_order_keeps_its_jobs(running: System) -> None:
    low, high = await enqueued(running, priority=1), await enqueued(running, priority=2)
    for order in ("aging", "fair", "strict", "aging"):
        await told(running, "queue.configure", {"name": "default", "order": order})
    middle = await enqueued(running, priority=-1)
    assert await drained(running) == [high, low, middle]


async def test_keys_of_a_fair_queue_share_by_weight(running: System) -> None:
    await told(running, "queue.configure", {"name": "default", "order": "fair", "weights": {"a": 2}})
    await batch(running, "job.enqueue", [{"name": "transcribe", "key": "a", "data": {"k": "a"}}] * 40)
    await batch(running, "job.enqueue", [{"name": "transcribe", "key": "b", "data": {"k": "b"}}] * 20)
    grants = await claimed(running, slots=30)
    assert Counter(grant["data"]["k"] for grant in grants) == {"a": 20, "b": 10}
    # Who comes later joins at the present: it neither waits behind all others nor gets what it did not ask for before.
    await batch(running, "job.enqueue", [{"name": "transcribe", "key": "c", "data": {"k": "c"}}] * 10)
    grants = await claimed(running, slots=20)
    assert Counter(grant["data"]["k"] for grant in grants) == {"a": 10, "b": 5, "c": 5}
    assert len(await claimed(running, slots=100)) == 20, "whoever is left gets everything"


async def test_a_drained_queue_has_only_what_runs(running: System, connection: asyncpg.Connection) -> None:
    await told(running, "queue.configure", {"name": "default", "concurrency": 2})
    await batch(running, "job.enqueue", [{"name": "transcribe"}] * 20)
    await enqueued(running, delay=3_600)
    elsewhere = await enqueued(running, queue="other")
    (grant, _) = await claimed(running, slots=2)
    answer = await told(running, "queue.drain", {"name": "default"})
    assert answer.result == {"name": "default", "cancelled": 19}
    queue = (await asked(running, "queue.get", {"name": "default"}))["queue"]
    assert (queue["ready"], queue["waiting"], queue["running"], queue["oldest"]) == (0, {}, 2, None)
    await reported(running, grant)
    assert await drained(running, queues=["default", "other"]) == [elsewhere]


async def test_a_queue_tells_how_much_waits_and_why(running: System) -> None:
    await told(
        running,
        "queue.configure",
        {"name": "default", "concurrency": 1, "per_key": {"rate": {"limit": 1, "period": 60}}},
    )
    await batch(running, "job.enqueue", [{"name": "transcribe", "key": "a"}] * 3)
    await batch(running, "job.enqueue", [{"name": "transcribe"}] * 2)
    await enqueued(running, delay=60)
    await claimed(running)
    (queue,) = (await asked(running, "queue.list", {}))["queues"]
    assert (queue["name"], queue["ready"], queue["running"]) == ("default", 0, 1)
    assert queue["waiting"] == {"capped": 2, "rate_limited": 2, "delayed": 1}
    assert queue["oldest"] >= 0
    assert queue["per_key"] == {"concurrency": None, "rate": {"limit": 1, "period": 60.0, "burst": 1}}
    assert await refused_query(running, "queue.get", {"name": "missing"}) == "not-found"


async def refused_query(running: System, query: str, body: object) -> str:
    answer = await answered(running, query, body, context())
    assert isinstance(answer, Refused)
    return answer.problem.code


@pytest.mark.parametrize("blocked", ["delayed", "capped", "rate_limited", "paused"])
async def test_a_claim_looks_at_none_of_the_jobs_that_are_blocked(
    running: System, connection: asyncpg.Connection, blocked: str
) -> None:
    """100,000 jobs ahead of the one that can run; counted in rows, not in time."""
    match blocked:
        case "capped":
            await told(running, "queue.configure", {"name": "default", "per_key": {"concurrency": 1}})
        case "rate_limited":
            await told(
                running, "queue.configure", {"name": "default", "per_key": {"rate": {"limit": 1, "period": 3_600}}}
            )
        case _:
            pass
    wish = {"name": "n", "priority": 5, "key": "a"} | ({"delay": 3_600} if blocked == "delayed" else {})
    one = await enqueued(running, **wish)
    free = await enqueued(running, queue="other" if blocked == "paused" else "default")
    # The rest by copying the first: what is stored is the same.
    table = "ready" if blocked == "paused" else "waiting"
    if blocked in ("capped", "rate_limited"):
        (grant,) = await claimed(running)
        assert grant["job_id"] == one
        await enqueued(running, **wish)
    if blocked == "paused":
        await told(running, "queue.pause", {"name": "default"})
    columns = await connection.fetchval(
        "SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns"
        " WHERE table_name = $1 AND column_name NOT IN ('stream', 'job_id')",
        table,
    )
    await connection.execute(
        f"INSERT INTO {table} (stream, job_id, {columns}) SELECT 'job:x:' || n, 'x-' || n, {columns}"
        f" FROM {table}, generate_series(1, 100000) AS n WHERE queue = 'default' AND priority = 5"
    )
    await connection.execute(f"ANALYZE {table}")
    async with connection.transaction():
        assert await connection.fetchval(SERVE, TENANT) == 1
        touched = {row["relname"]: row for row in await connection.fetch(TOUCHED)}
        granted = await connection.fetchval("SELECT job_id FROM leases WHERE worker = 'w-5' AND job_id <> $1", one)
    assert granted == free
    assert touched["ready"]["idx_tup_fetch"] >= 1, "it is counted"
    for row in touched.values():
        assert (row["seq_tup_read"] or 0) <= 5, dict(row)
        assert (row["idx_tup_fetch"] or 0) <= 5, dict(row)


async def test_settings_of_the_file_hold_until_a_command_wins(fresh_database_url: str) -> None:
    async with system(fresh_database_url, queues={"default": {"concurrency": 1}}) as running:
        await batch(running, "job.enqueue", [{"name": "transcribe"}] * 5)
        assert len(await claimed(running, slots=5)) == 1
        await told(running, "queue.pause", {"name": "default"})
        await told(running, "queue.resume", {"name": "default"})
        assert await claimed(running, slots=5) == []
    async with system(fresh_database_url, queues={"default": {"concurrency": 2}}) as running:
        assert len(await claimed(running, slots=5)) == 1
        await told(running, "queue.configure", {"name": "default", "concurrency": 4})
        assert len(await claimed(running, slots=5)) == 2
    async with system(fresh_database_url) as running:
        assert await claimed(running, slots=5) == []
        queue = (await asked(running, "queue.get", {"name": "default"}))["queue"]
        assert (queue["concurrency"], queue["running"]) == (4, 4)
