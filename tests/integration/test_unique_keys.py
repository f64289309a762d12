"""At most one unfinished job has a unique key, whoever asks, in however many processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from infra.bootstrap import System
from millrace.contracts.wire import Accepted, Refused
from tests.support.systems import (
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


@pytest.fixture
async def running(fresh_database_url: str) -> AsyncIterator[System]:
    async with system(fresh_database_url) as running:
        yield running


async def answer(running: System, message_id: str | None = None, **body: Any) -> Accepted | Refused:
    reply = await executed(running, "job.enqueue", {"name": "send", **body}, context(message_id))
    assert isinstance(reply, Accepted | Refused)
    return reply


async def keys(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        return [row["key"] for row in await connection.fetch("SELECT key FROM unique_keys ORDER BY key")]
    finally:
        await connection.close()


async def test_a_second_job_of_the_key_is_refused_and_told_which_has_it(running: System) -> None:
    first = await enqueued(running, unique="k-7")
    reply = await answer(running, "m-second", unique={"key": "k-7"})
    assert isinstance(reply, Refused)
    assert (reply.problem.code, reply.problem.status) == ("duplicate-job", 409)
    assert reply.problem.model_dump()["job_id"] == first
    await told(running, "job.cancel", {"job_id": first})
    again = await answer(running, "m-second", unique={"key": "k-7"})
    assert isinstance(again, Refused), "a refusal is remembered like any other answer"
    assert again.problem.model_dump()["job_id"] == first


async def test_without_a_key_name_and_data_make_one(running: System) -> None:
    await enqueued(running, name="send", data={"to": "a", "n": 1}, unique=True)
    assert await refused(running, "job.enqueue", {"name": "send", "data": {"n": 1, "to": "a"}, "unique": True})
    for other in ({"name": "send", "data": {"to": "b", "n": 1}}, {"name": "call", "data": {"to": "a", "n": 1}}):
        await told(running, "job.enqueue", {**other, "unique": True})


async def test_a_key_belongs_to_one_tenant(running: System) -> None:
    await told(running, "job.enqueue", {"name": "send", "unique": "k"}, tenant="one")
    await told(running, "job.enqueue", {"name": "send", "unique": "k"}, tenant="two")


async def test_the_job_that_is_there_is_the_answer(running: System) -> None:
    first = await enqueued(running, unique="k", delay=60)
    reply = await told(
        running, "job.enqueue", {"name": "other", "unique": {"key": "k", "on_conflict": "existing"}}, "m-e"
    )
    assert (reply.result["job_id"], reply.result["status"], reply.result["existing"]) == (first, "delayed", True)
    assert reply.position is not None
    repeated = await told(
        running, "job.enqueue", {"name": "other", "unique": {"key": "k", "on_conflict": "existing"}}, "m-e"
    )
    assert repeated.result["job_id"] == first
    assert await history(running, first) == ["job.enqueued"]


async def test_a_waiting_job_is_replaced_and_a_running_one_is_not(running: System) -> None:
    first = await enqueued(running, data={"n": 1}, unique="k")
    wish = {"key": "k", "on_conflict": "replace"}
    second = await enqueued(running, data={"n": 2}, unique=wish)
    assert await history(running, first) == ["job.enqueued", "job.cancelled"]
    assert [grant["job_id"] for grant in await claimed(running, slots=9)] == [second]
    assert await refused(running, "job.enqueue", {"name": "send", "unique": wish}) == "duplicate-job"
    assert (await job(running, second))["status"] == "processing"


@pytest.mark.parametrize("outcome", ["completed", "failed", "cancelled", "removed"])
async def test_the_end_frees_the_key(running: System, fresh_database_url: str, outcome: str) -> None:
    first = await enqueued(running, unique="k", max_attempts=1)
    match outcome:
        case "cancelled":
            await told(running, "job.cancel", {"job_id": first})
        case "removed":
            await told(running, "job.remove", {"job_id": first})
        case _:
            (grant,) = await claimed(running)
            await reported(running, grant, outcome)
    assert await keys(fresh_database_url) == []
    await enqueued(running, unique="k")


async def test_a_retry_keeps_the_key_and_a_start_frees_it_where_that_was_wished(
    running: System, fresh_database_url: str
) -> None:
    await enqueued(running, unique={"key": "a"}, retry={"kind": "fixed", "delay": 60})
    await enqueued(running, unique={"key": "b", "until": "started"})
    for grant in await claimed(running, slots=2):
        await reported(running, grant, "failed")
    assert await keys(fresh_database_url) == ["a"]
    assert await refused(running, "job.enqueue", {"name": "send", "unique": "a"}) == "duplicate-job"
    await enqueued(running, unique="b")


async def test_a_key_that_has_expired_is_free_and_stays_with_who_takes_it(
    running: System, fresh_database_url: str
) -> None:
    first = await enqueued(running, unique={"key": "k", "ttl": 60})
    assert await refused(running, "job.enqueue", {"name": "send", "unique": "k"}) == "duplicate-job"
    connection = await asyncpg.connect(fresh_database_url)
    await connection.execute("UPDATE unique_keys SET expires_at = clock_timestamp() - interval '1 second'")
    await connection.close()
    await enqueued(running, unique="k")
    await told(running, "job.cancel", {"job_id": first})
    assert await keys(fresh_database_url) == ["k"], "the end of the first is not the end of the second"


async def test_a_dead_letter_takes_its_key_again_or_stays_where_it_is(running: System) -> None:
    first = await enqueued(running, unique="k", max_attempts=1)
    await reported(running, (await claimed(running))[0], "failed")
    second = await enqueued(running, unique="k")
    assert await refused(running, "job.retry", {"job_id": first}) == "duplicate-job"
    await told(running, "job.cancel", {"job_id": second})
    await told(running, "job.retry", {"job_id": first})
    assert await refused(running, "job.enqueue", {"name": "send", "unique": "k"}) == "duplicate-job"


@pytest.mark.parametrize("on_conflict", ["reject", "existing", "replace"])
async def test_many_in_one_batch_leave_one(running: System, on_conflict: str) -> None:
    body = {"name": "send", "unique": {"key": "k", "on_conflict": on_conflict}}
    answers = await batch(running, "job.enqueue", [{**body, "data": {"n": n}} for n in range(30)])
    (grant,) = await claimed(running, slots=100)
    accepted = [answer for answer in answers if isinstance(answer, Accepted)]
    match on_conflict:
        case "reject":
            assert (len(accepted), grant["data"]) == (1, {"n": 0})
        case "existing":
            assert {answer.result["job_id"] for answer in accepted} == {grant["job_id"]}
            assert len(accepted) == 30
        case _:
            assert (len(accepted), grant["data"]) == (30, {"n": 29})


@pytest.mark.parametrize("on_conflict", ["reject", "existing", "replace"])
async def test_processes_that_race_for_a_key_leave_one_unfinished_job(
    fresh_database_url: str, on_conflict: str
) -> None:
    async with system(fresh_database_url) as one, system(fresh_database_url, ["api"]) as two:
        for key in range(15):
            body = {"unique": {"key": f"k-{key}", "on_conflict": on_conflict}}
            answers = await asyncio.gather(*(answer(each, **body) for each in (one, two) for _ in range(4)))
            jobs = {each.result["job_id"] for each in answers if isinstance(each, Accepted)}
            assert jobs
            refusals = {each.problem.code for each in answers if isinstance(each, Refused)}
            assert refusals <= ({"duplicate-job"} if on_conflict == "reject" else {"conflict"})
            unfinished = [each for each in jobs if (await job(one, each))["status"] == "pending"]
            assert len(unfinished) == 1
            if on_conflict != "replace":
                assert len(jobs) == 1


async def test_commands_without_a_key_in_the_same_transaction_are_not_harmed(running: System) -> None:
    await enqueued(running, unique="k")
    bodies: list[dict[str, Any]] = [{"name": "send"}, {"name": "send", "unique": "k"}, {"name": "send"}]
    answers = await batch(running, "job.enqueue", bodies * 5)
    assert [isinstance(answer, Accepted) for answer in answers] == [True, False, True] * 5
