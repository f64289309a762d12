"""Commands through the whole service: one effect each, whatever is repeated, raced, restarted or cut off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic_core import to_json

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

JOB = {"name": "transcribe", "data": {"file": "a-17.wav"}}


@pytest.fixture
async def running(fresh_database_url: str) -> AsyncIterator[System]:
    async with system(fresh_database_url) as running:
        yield running


@pytest.fixture
async def pair(fresh_database_url: str) -> AsyncIterator[tuple[System, System]]:
    """Two processes of the service on one database."""
    async with system(fresh_database_url) as one, system(fresh_database_url) as other:
        yield one, other


async def test_a_repeated_command_gets_the_same_answer_across_a_restart(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as before:
        first = await told(before, "job.enqueue", JOB, "m-restart")
        repeated = await told(before, "job.enqueue", JOB, "m-restart")
        code = await refused(before, "job.cancel", {"job_id": "missing"}, "m-missing")
    async with system(fresh_database_url) as after:
        again = await told(after, "job.enqueue", JOB, "m-restart")
        assert await history(after, str(first.result["job_id"])) == ["job.enqueued"]
    assert code == "not-found"
    assert to_json(first.to_wire()) == to_json(repeated.to_wire()) == to_json(again.to_wire())


async def test_a_refusal_is_remembered_too(running: System) -> None:
    job_id = await enqueued(running)
    assert await refused(running, "job.retry", {"job_id": job_id}, "m-refused") == "refused"
    (grant,) = await claimed(running)
    await told(running, "job.report", {**only(grant), "outcome": "failed", "error": {}, "retryable": False})
    assert await refused(running, "job.retry", {"job_id": job_id}, "m-refused") == "refused"
    assert (await told(running, "job.retry", {"job_id": job_id}, "m-new")).result["status"] == "pending"


def only(grant: dict[str, Any]) -> dict[str, Any]:
    return {"job_id": grant["job_id"], "attempt": grant["attempt"]}


async def test_fifty_copies_at_once_are_one_event_and_fifty_equal_answers(running: System) -> None:
    copies = (executed(running, "job.enqueue", JOB, context("m-50")) for _ in range(50))
    answers = await asyncio.gather(*copies)
    assert all(answer == answers[0] for answer in answers)
    assert isinstance(answers[0], Accepted)
    assert await running.storage.store.head() == 1


async def test_copies_at_two_processes_at_once_are_one_event(pair: tuple[System, System]) -> None:
    copies = (executed(one, "job.enqueue", JOB, context("m-2")) for one in pair * 10)
    answers = await asyncio.gather(*copies)
    assert len({str(answer.result["job_id"]) for answer in answers if isinstance(answer, Accepted)}) == 1
    assert len({answer.position for answer in answers if isinstance(answer, Accepted)}) == 1
    assert await pair[0].storage.store.head() == 1


async def test_a_message_id_with_another_body_is_refused(running: System) -> None:
    await told(running, "job.enqueue", JOB, "m-1")
    assert await refused(running, "job.enqueue", {**JOB, "priority": 7}, "m-1") == "idempotency-mismatch"

    raced = await asyncio.gather(
        *(executed(running, "job.enqueue", {**JOB, "priority": n % 2}, context("m-2")) for n in range(10))
    )
    refusals = [answer.problem.code for answer in raced if isinstance(answer, Refused)]
    assert refusals == ["idempotency-mismatch"] * 5
    assert await running.storage.store.head() == 2


async def test_another_tenant_s_message_id_is_another(running: System) -> None:
    mine = await told(running, "job.enqueue", JOB, "m-1")
    theirs = await told(running, "job.enqueue", JOB, "m-1", tenant="globex")
    assert mine.result["job_id"] != theirs.result["job_id"]
    assert await refused(running, "job.cancel", {"job_id": theirs.result["job_id"]}) == "not-found"


@pytest.mark.parametrize(
    "bad",
    [
        {"name": ""},
        {"name": "transcribe", "colour": "red"},
        17,
        None,
        {"name": "transcribe", "data": {"text": "a\x00b"}},
        {"name": "transcribe", "data": {"number": float("inf")}},
        {"name": "transcribe", "data": {"text": "\ud800"}},
        {"name": "tran\x00scribe"},
    ],
    ids=repr,
)
async def test_a_bad_item_harms_no_other_item_of_its_batch(running: System, bad: object) -> None:
    items = await batch(running, "job.enqueue", [JOB, bad, JOB], "m-batch")
    assert [isinstance(item, Accepted) for item in items] == [True, False, True]
    assert isinstance(items[1], Refused)
    assert items[1].problem.code == "invalid"
    repeated = await batch(running, "job.enqueue", [JOB, bad, JOB], "m-batch")
    assert [to_json(item.to_wire()) for item in repeated] == [to_json(item.to_wire()) for item in items]
    assert await running.storage.store.head() == 2


async def test_an_envelope_that_cannot_be_stored_is_refused(running: System) -> None:
    assert await refused(running, "job.enqueue", JOB, "m-\x00") == "invalid"
    assert await refused(running, "job.enqueue", JOB, actor="\x00") == "invalid"
    assert await running.storage.store.head() == 0


async def test_a_batch_keeps_its_order_for_each_aggregate(running: System) -> None:
    job_id = await enqueued(running)
    (grant,) = await claimed(running)
    reports = [
        {**only(grant), "outcome": "completed", "result": 1},
        {**only(grant), "outcome": "completed", "result": 2},
        {**only(grant), "outcome": "failed", "error": {}},
    ]
    answers = await batch(running, "job.report", reports)
    assert [isinstance(answer, Accepted) for answer in answers] == [True, True, False]
    assert (await job(running, job_id))["result"] == 1


async def test_an_item_with_an_id_of_its_own_is_the_same_command_alone(running: System) -> None:
    (answer,) = await batch(running, "job.enqueue", [{"id": "m-own", "body": JOB}])
    assert isinstance(answer, Accepted)
    assert (await told(running, "job.enqueue", JOB, "m-own")).result["job_id"] == answer.result["job_id"]


async def test_what_both_decide_at_once_is_decided_anew(pair: tuple[System, System]) -> None:
    """Both have the job in memory; one cancels, so the other's decision rests on a state that is over."""
    one, other = pair
    for _ in range(10):
        job_id = await enqueued(one)
        answers = await asyncio.gather(
            *(executed(side, "job.cancel", {"job_id": job_id}, context()) for side in pair * 3)
        )
        assert all(isinstance(answer, Accepted) for answer in answers)
        assert await history(other, job_id) == ["job.enqueued", "job.cancelled"]


async def test_a_copy_in_memory_that_was_overtaken_elsewhere_is_never_believed(pair: tuple[System, System]) -> None:
    one, other = pair
    job_id = await enqueued(one)
    assert await refused(one, "job.retry", {"job_id": job_id}) == "refused"
    (grant,) = await claimed(one)
    await reported(other, grant, "failed", retryable=False)
    assert (await told(one, "job.retry", {"job_id": job_id})).result["status"] == "pending"
    assert (await told(other, "job.cancel", {"job_id": job_id})).result["status"] == "cancelled"
    assert (await told(one, "job.cancel", {"job_id": job_id})).result["status"] == "cancelled"
    assert (await refused(one, "job.report", {**only(grant), "outcome": "completed"})) == "stale-attempt"
    assert await history(one, job_id) == [
        "job.enqueued", "job.started", "job.attempt_failed", "job.dead_lettered", "job.revived", "job.cancelled",
    ]  # fmt: skip


async def test_a_job_claimed_here_is_reported_and_cancelled_there(pair: tuple[System, System]) -> None:
    one, other = pair
    first, second = await enqueued(one), await enqueued(one)
    await refused(other, "job.retry", {"job_id": first})
    await refused(other, "job.retry", {"job_id": second})
    grants = {grant["job_id"]: grant for grant in await claimed(one, slots=2)}
    assert (await reported(other, grants[first])).result["status"] == "completed"
    assert await refused(one, "job.cancel", {"job_id": first}) == "refused"
    assert (await told(other, "job.cancel", {"job_id": second})).result["status"] == "cancelled"
    assert await refused(one, "job.report", {**only(grants[second]), "outcome": "completed"}) == "stale-attempt"


async def test_an_unknown_command_names_the_known_ones(running: System) -> None:
    answer = await running.gateway.execute("job.evaporate", {}, context())
    assert isinstance(answer, Refused)
    assert answer.problem.code == "unknown-command"
    assert "job.enqueue" in answer.problem.detail
