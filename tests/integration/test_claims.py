"""Claims and leases: who gets which job, in which order, until when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from handlers.timers import Lapse
from infra.bootstrap import System
from millrace.contracts.wire import Accepted, Refused
from tests.support.eventually import eventually
from tests.support.systems import (
    TENANT,
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

LAPSE = "UPDATE leases SET expires_at = clock_timestamp() - interval '1 second' WHERE job_id = $1"


@pytest.fixture
async def running(fresh_database_url: str) -> AsyncIterator[System]:
    async with system(fresh_database_url) as running:
        yield running


@pytest.fixture
async def connection(fresh_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(fresh_database_url)
    yield connection
    await connection.close()


def ids(grants: list[Any]) -> list[str]:
    return [grant["job_id"] for grant in grants]


async def renewed(running: System, worker: str, *grants: Any) -> list[Any]:
    """The attempts that are lost."""
    attempts = [{"job_id": grant["job_id"], "attempt": grant["attempt"]} for grant in grants]
    lost: list[Any] = (await told(running, "job.renew", {"worker": worker, "attempts": attempts})).result["lost"]
    return lost


async def test_jobs_are_granted_by_priority_then_by_age(running: System) -> None:
    made = {priority: await enqueued(running, priority=priority) for priority in (0, -5, 9, 3)}
    second = await enqueued(running, priority=9)
    grants = await claimed(running, slots=10)
    assert ids(grants) == [made[9], second, made[3], made[0], made[-5]]
    assert [grant["attempt"] for grant in grants] == [1] * 5


async def test_a_claim_over_several_queues_takes_the_first_of_all_of_them(running: System) -> None:
    low, high = await enqueued(running, queue="a", priority=1), await enqueued(running, queue="b", priority=2)
    await enqueued(running, queue="c", priority=9)
    assert ids(await claimed(running, slots=10, queues=["a", "b"])) == [high, low]


async def test_a_claim_gets_no_more_than_it_has_room_for_and_no_job_twice(running: System) -> None:
    await batch(running, "job.enqueue", [{"name": "transcribe"}] * 7)
    seen = [ids(await claimed(running, slots=3)) for _ in range(4)]
    assert [len(grants) for grants in seen] == [3, 3, 1, 0]
    assert len({job_id for grants in seen for job_id in grants}) == 7


async def test_another_tenant_s_jobs_are_never_granted(running: System) -> None:
    await told(running, "job.enqueue", {"name": "transcribe"}, tenant="globex")
    assert await claimed(running) == []


async def test_a_grant_says_what_to_do(running: System) -> None:
    await told(
        running,
        "job.enqueue",
        {"name": "transcribe", "data": {"file": "a-17.wav"}, "timeout": 61.5, "max_attempts": 7, "priority": 4},
        correlation_id="c-31",
        traceparent="00-aa-bb-01",
    )
    (grant,) = await claimed(running)
    assert (grant["name"], grant["data"], grant["timeout"]) == ("transcribe", {"file": "a-17.wav"}, 61.5)
    assert (grant["attempt"], grant["attempts"], grant["max_attempts"], grant["priority"]) == (1, 1, 7, 4)
    assert (grant["correlation_id"], grant["traceparent"]) == ("c-31", "00-aa-bb-01")


async def test_a_held_claim_gets_a_job_that_is_enqueued_later_in_the_same_transaction(
    running: System, connection: asyncpg.Connection
) -> None:
    claiming = asyncio.create_task(claimed(running, wait=30))
    await eventually(lambda: stats(running), lambda found: found["workers"] == 1)
    job_id = await enqueued(running)
    assert ids(await asyncio.wait_for(claiming, 20)) == [job_id]
    times = await connection.fetch("SELECT xmin::text AS transaction FROM stored_events ORDER BY notification_id")
    assert len({row["transaction"] for row in times}) == 1


async def stats(running: System) -> dict[str, Any]:
    return await asked(running, "job.stats", {})


async def test_a_claim_that_is_held_in_vain_ends_empty(running: System) -> None:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    answer = await told(running, "job.claim", {"worker": "w-5", "wait": 0.3})
    assert answer.result["grants"] == []
    assert 0.3 <= loop.time() - begun < 10
    assert 0.3 <= answer.result["held"] < 10


async def test_held_claims_in_one_process_share_what_becomes_ready(running: System) -> None:
    claiming = [asyncio.create_task(claimed(running, worker=f"w-{n}", wait=30)) for n in range(5)]
    await eventually(lambda: stats(running), lambda found: found["workers"] == 5)
    await batch(running, "job.enqueue", [{"name": "transcribe"}] * 5)
    grants = await asyncio.wait_for(asyncio.gather(*claiming), 20)
    assert [len(granted) for granted in grants] == [1] * 5
    assert len({job_id for granted in grants for job_id in ids(granted)}) == 5


async def test_two_processes_claim_disjointly(running: System, fresh_database_url: str) -> None:
    await batch(running, "job.enqueue", [{"name": "transcribe"}] * 200)
    async with system(fresh_database_url) as other:
        sides = [running, other] * 20
        grants = await asyncio.gather(
            *(claimed(side, slots=5, worker=f"w-{number}") for number, side in enumerate(sides))
        )
    granted = [job_id for found in grants for job_id in ids(found)]
    assert len(granted) == len(set(granted)) == 200
    assert (await stats(running))["processing"] in range(201)


async def test_a_claim_held_in_another_process_is_woken(running: System, fresh_database_url: str) -> None:
    async with system(fresh_database_url) as other:
        claiming = asyncio.create_task(claimed(other, wait=30))
        await eventually(lambda: stats(running), lambda found: found["workers"] == 1)
        job_id = await enqueued(running)
        assert ids(await asyncio.wait_for(claiming, 20)) == [job_id]


async def test_a_confirmed_attempt_whose_lease_lapses_is_lost_and_retried(
    running: System, connection: asyncpg.Connection
) -> None:
    job_id = await enqueued(running, retry={"kind": "fixed", "delay": 0.1, "jitter": 0})
    (grant,) = await claimed(running)
    assert await renewed(running, "w-5", grant) == []
    await connection.execute(LAPSE, job_id)
    (again,) = await claimed(running, worker="w-6", wait=10)
    assert (again["attempt"], again["attempts"]) == (2, 2)
    assert await history(running, job_id) == [
        "job.enqueued", "job.started", "job.attempt_lost", "job.retry_scheduled", "job.started",
    ]  # fmt: skip
    found = await job(running, job_id)
    assert [(error["attempt"], error["type"]) for error in found["errors"]] == [(1, "WorkerLost")]
    assert await renewed(running, "w-5", grant) == [{"job_id": job_id, "attempt": 1}]
    stale = {"job_id": job_id, "attempt": 1, "outcome": "completed"}
    assert await refused(running, "job.report", stale) == "stale-attempt"
    assert (await reported(running, again)).result["status"] == "completed"


async def test_a_grant_that_is_never_confirmed_uses_no_attempt(fresh_database_url: str) -> None:
    async with system(fresh_database_url, unconfirmed=0.3) as running:
        job_id = await enqueued(running, max_attempts=1)
        await claimed(running)
        (again,) = await claimed(running, worker="w-6", wait=10)
        assert (again["attempt"], again["attempts"]) == (2, 1)
        assert await history(running, job_id) == [
            "job.enqueued", "job.started", "job.attempt_returned", "job.started",
        ]  # fmt: skip


async def test_a_claim_that_nobody_waits_for_any_more_gives_its_grant_back_at_once(fresh_database_url: str) -> None:
    """However the cancellation and the grant meet, no job waits for the whole lease of a grant."""
    async with system(fresh_database_url, unconfirmed=3_600) as running:
        for _ in range(10):
            job_id = await enqueued(running)
            claiming = asyncio.create_task(claimed(running, wait=30))
            await asyncio.sleep(0)
            claiming.cancel()
            await asyncio.wait({claiming})
            (grant,) = await claimed(running, worker="w-6", wait=10)
            assert grant["job_id"] == job_id
            await reported(running, grant)


async def test_a_job_handed_back_uses_no_attempt(running: System) -> None:
    await enqueued(running, max_attempts=1)
    (grant,) = await claimed(running)
    assert (await reported(running, grant, "returned")).result["status"] == "pending"
    (again,) = await claimed(running)
    assert (again["attempt"], again["attempts"]) == (2, 1)


async def test_only_the_worker_that_has_the_attempt_can_renew_it(
    running: System, connection: asyncpg.Connection
) -> None:
    await enqueued(running)
    (grant,) = await claimed(running, worker="w-5")
    named = {"job_id": grant["job_id"], "attempt": grant["attempt"]}
    assert await renewed(running, "w-6", grant) == [named]
    assert await renewed(running, "w-5", {**named, "attempt": 2}, {"job_id": "missing", "attempt": 1}) == [
        {**named, "attempt": 2},
        {"job_id": "missing", "attempt": 1},
    ]
    assert not await connection.fetchval("SELECT confirmed FROM leases")
    assert await renewed(running, "w-5", grant) == []
    left = await connection.fetchval("SELECT expires_at - clock_timestamp() FROM leases WHERE confirmed")
    assert timedelta(seconds=28) < left <= timedelta(seconds=30)


async def test_a_delayed_job_becomes_ready_by_the_database_s_clock(
    running: System, connection: asyncpg.Connection
) -> None:
    job_id = await enqueued(running, delay=3_600)
    assert await claimed(running) == []
    claiming = asyncio.create_task(claimed(running, wait=30))
    await connection.execute("UPDATE waiting SET due_at = clock_timestamp()")
    assert ids(await asyncio.wait_for(claiming, 20)) == [job_id]


async def test_a_due_time_in_the_past_is_now(running: System) -> None:
    job_id = await enqueued(running, run_at=(datetime.now(UTC) - timedelta(days=1)).isoformat())
    assert ids(await claimed(running)) == [job_id]


async def test_a_delayed_job_that_is_cancelled_is_never_granted(
    running: System, connection: asyncpg.Connection
) -> None:
    moved, waiting = await enqueued(running, delay=3_600), await enqueued(running, delay=3_600)
    await connection.execute("UPDATE waiting SET due_at = clock_timestamp() WHERE job_id = $1", moved)
    await eventually(lambda: connection.fetchval("SELECT count(*) FROM ready"))
    for job_id in (moved, waiting):
        await told(running, "job.cancel", {"job_id": job_id})
    assert await claimed(running) == []
    assert await connection.fetchval("SELECT count(*) FROM ready") == 0
    assert await connection.fetchval("SELECT count(*) FROM waiting") == 0


async def test_a_running_job_that_is_cancelled_is_told_at_the_next_renewal(
    running: System, connection: asyncpg.Connection
) -> None:
    job_id = await enqueued(running)
    (grant,) = await claimed(running)
    assert await renewed(running, "w-5", grant) == []
    await told(running, "job.cancel", {"job_id": job_id})
    lost = {"job_id": job_id, "attempt": 1, "status": "cancelled", "reason": None}
    assert await renewed(running, "w-5", grant) == [lost]
    stale = {"job_id": job_id, "attempt": 1, "outcome": "completed"}
    assert await refused(running, "job.report", stale) == "stale-attempt"
    assert await connection.fetchval("SELECT count(*) FROM leases") == 0


async def test_claims_that_race_cancels_leave_each_job_in_one_place(
    running: System, connection: asyncpg.Connection, fresh_database_url: str
) -> None:
    made = await batch(running, "job.enqueue", [{"name": "transcribe"}] * 150)
    jobs = [str(answer.result["job_id"]) for answer in made if isinstance(answer, Accepted)]
    async with system(fresh_database_url) as other, asyncio.timeout(60):
        cancelling = [
            executed(side, "job.cancel", {"job_id": job_id}, context())
            for job_id, side in zip(jobs, [running, other] * 75, strict=True)
        ]
        claiming = [claimed(side, slots=3, worker=f"w-{n}") for n, side in enumerate([running, other] * 30)]
        answers, grants = await asyncio.gather(asyncio.gather(*cancelling), asyncio.gather(*claiming))
        assert [answer.problem.code for answer in answers if isinstance(answer, Refused)] == []
        for grant in (grant for found in grants for grant in found):
            stale = {"job_id": grant["job_id"], "attempt": grant["attempt"], "outcome": "completed"}
            assert await refused(other, "job.report", stale) == "stale-attempt"
    for table in ("ready", "waiting", "leases"):
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0


async def test_after_an_outage_nothing_lapses_for_one_whole_lease(
    fresh_database_url: str, connection: asyncpg.Connection
) -> None:
    async with system(fresh_database_url, ["api"]) as running:
        queue = running.storage.queue
        job_id = await enqueued(running)
        (grant,) = await claimed(running)
        await renewed(running, "w-5", grant)
        await queue.beat()
        await connection.execute(LAPSE, job_id)
        await connection.execute("UPDATE lease_watch SET beat_at = clock_timestamp() - interval '1 minute'")
        assert await queue.lapsed(10) == [], "nobody has served renewals for a minute"
        with capture_logs() as told:
            await queue.beat()
        assert [(line["action"], line["log_level"]) for line in told] == [("leases_extended", "info")]
        assert await queue.lapsed(10) == []
        left = await connection.fetchval("SELECT expires_at - clock_timestamp() FROM leases")
        assert timedelta(seconds=28) < left <= timedelta(seconds=30)
        await connection.execute(LAPSE, job_id)
        (lapsed,) = await queue.lapsed(10)
        assert (lapsed.tenant, lapsed.job_id, lapsed.attempt, lapsed.confirmed) == (TENANT, job_id, 1, True)


async def test_a_lapse_that_a_renewal_has_overtaken_records_nothing(fresh_database_url: str) -> None:
    """A sweeper that saw the lease lapsed records so only while that is true, in the transaction that appends."""
    async with system(fresh_database_url, ["api"]) as running:
        job_id = await enqueued(running)
        (grant,) = await claimed(running)
        await renewed(running, "w-5", grant)
        lapse = Lapse(job_id=job_id, attempt=1, worker="w-5", confirmed=True)
        answer = await running.pipeline.execute_internal("job.lapse", lapse, context(), lapsed_attempt=1)
        assert isinstance(answer, Refused)
        assert answer.problem.code == "conflict"
        assert await history(running, job_id) == ["job.enqueued", "job.started"]
        assert (await reported(running, grant)).result["status"] == "completed"


async def test_many_held_claims_of_one_queue_are_all_served(running: System) -> None:
    claiming = [asyncio.create_task(claimed(running, worker=f"w-{number}", wait=30)) for number in range(80)]
    await eventually(lambda: stats(running), lambda found: found["workers"] == 80)
    await batch(running, "job.enqueue", [{"name": "transcribe"}] * 80)
    granted = [ids(grants) for grants in await asyncio.wait_for(asyncio.gather(*claiming), 20)]
    assert [len(grants) for grants in granted] == [1] * 80
    assert len({job_id for (job_id,) in granted}) == 80
