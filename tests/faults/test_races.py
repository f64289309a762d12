"""Many who want something of the same rows at the same time: nobody waits for ever, and nothing is decided twice."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import asyncpg
import httpx

from millrace import Millrace
from millrace.errors import Refused
from tests.faults.harness.bench import Bench
from tests.faults.harness.claim_cost import block, measured
from tests.faults.harness.processes import Service, Worker

JOBS = 1_200
# What races with claims.
RACES = ("job.cancel", "job.remove", "job.retry", "job.change", "job.change")
COPIES = 300
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


async def test_claims_race_with_cancels_removes_retries_and_changes_without_a_deadlock(
    run: Bench, fresh_database_url: str
) -> None:
    pair = [
        await run.start(Service(run.folder, name=f"service-{n}", database=fresh_database_url, lease=4)) for n in (1, 2)
    ]
    for service in pair:
        await service.ready()
        await run.start(Worker(run.folder, service.url, run.runs, name=f"worker-of-{service.name}", concurrency=50))
    refusals, decided = set[str](), Counter[str]()
    async with Millrace(pair[0].url) as one, Millrace(pair[1].url) as two:

        async def race(chance: random.Random, enqueuing: asyncio.Task[None]) -> None:
            while not enqueuing.done():
                if not run.history.accepted:
                    await asyncio.sleep(0.01)
                    continue
                job = chance.choice(run.history.accepted[-200:])["job_id"]
                name = chance.choice(RACES)
                body: dict[str, Any] = {"job_id": job}
                try:
                    if name == "job.change":
                        body |= {"priority": chance.randint(-9, 9), "delay": chance.choice([0, 0.2])}
                    await chance.choice([one, two]).execute(name, body)
                    decided[name] += 1
                except Refused as refusal:
                    refusals.add(refusal.code)

        enqueuing = asyncio.create_task(
            run.enqueue(one, JOBS, name="fails-once", longest=0, max_attempts=1, ahead=JOBS)
        )
        racing = [asyncio.create_task(race(random.Random(run.random.random()), enqueuing)) for _ in range(20)]
        await enqueuing
        await asyncio.gather(*racing)
        assert decided.total() > JOBS / 10
        assert set(decided) == set(RACES)
        await run.all_ended(one, left=0)
        assert refusals <= {"refused", "not-found"}
        log = await run.verdict(one)
        assert {"job.changed", "job.cancelled", "job.removed", "job.started"} <= {event["eventtype"] for event in log}
    connection = await asyncpg.connect(fresh_database_url)
    assert await connection.fetchval(DEADLOCKS) == 0
    await connection.close()


async def test_one_id_many_times_in_one_flush_is_one_job(run: Bench) -> None:
    service = await run.start(Service(run.folder))
    await service.ready()
    copies = [{"id": "the-same", "body": {"name": "step"}}] * COPIES
    async with httpx.AsyncClient(base_url=service.url, timeout=20, trust_env=False) as http:
        batches = await asyncio.gather(*(http.post("/api/commands/job.enqueue", json=copies) for _ in range(4)))
    answers = [answer for batch in batches for answer in batch.json()["results"]]
    assert len(answers) == 4 * COPIES
    assert all(answer["ok"] for answer in answers)
    assert len({answer["result"]["job_id"] for answer in answers}) == 1
    assert len({answer["position"] for answer in answers}) == 1
    async with Millrace(service.url) as client:
        assert [event["eventtype"] for event in await run.log(client)] == ["job.enqueued"]


async def test_a_claim_touches_a_handful_of_rows_behind_a_hundred_thousand_that_may_not_run(
    run: Bench, fresh_database_url: str
) -> None:
    service = await run.start(Service(run.folder, database=fresh_database_url))
    await service.ready()
    await block(fresh_database_url)
    async with Millrace(service.url) as client:
        cost = await measured(fresh_database_url, client)
    print(cost)
    assert 0 < cost.rows <= 5
    assert cost.buffers < 100
