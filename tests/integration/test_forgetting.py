"""Answers to commands and the logs of jobs go from a running service when they are old, and no sooner."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
import pytest

from infra.settings import Settings
from tests.support.eventually import eventually
from tests.support.service import running_service
from tests.support.systems import asked, claimed, context, enqueued, executed, system, told

DAY = 86_400


async def aged(url: str, ages: dict[str, float]) -> None:
    """Has the answers of these commands been given so many seconds ago."""
    connection = await asyncpg.connect(url)
    try:
        for command_id, seconds in ages.items():
            status = await connection.execute(
                "UPDATE inbox SET recorded_at = clock_timestamp() - make_interval(secs => $2) WHERE command_id = $1",
                command_id, seconds,
            )  # fmt: skip
            assert status == "UPDATE 1"
    finally:
        await connection.close()


async def kept(url: str, command_ids: Sequence[str]) -> set[str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT command_id FROM inbox WHERE command_id = ANY ($1)", command_ids)
        return {row["command_id"] for row in rows}
    finally:
        await connection.close()


@pytest.mark.parametrize(("retention", "young", "old"), [(None, 6 * DAY, 8 * DAY), (60.0, 30, 90)])
async def test_a_service_forgets_what_is_older_than_its_retention_and_nothing_else(
    fresh_database_url: str, retention: float | None, young: float, old: float
) -> None:
    ages = {"m-old": old, "m-young": young, "m-new": 0.0}
    async with system(fresh_database_url) as running:
        jobs = {message_id: await enqueued(running, message_id) for message_id in ages}
    await aged(fresh_database_url, ages)
    given = {} if retention is None else {"idempotency": {"retention": retention}}
    async with running_service(fresh_database_url, settings=Settings.model_validate(given)) as service:
        await eventually(lambda: kept(fresh_database_url, list(ages)), lambda found: found == {"m-young", "m-new"})
        for message_id in ("m-young", "m-new"):
            again = await executed(service.system, "job.enqueue", {"name": "transcribe"}, context(message_id))
            assert again.to_wire()["result"]["job_id"] == jobs[message_id]


@pytest.mark.parametrize(("retention", "young", "old"), [(None, 6 * DAY, 8 * DAY), (3_600.0, 1_800, 5_400)])
async def test_what_a_job_has_logged_goes_after_its_retention_and_no_sooner(
    fresh_database_url: str, retention: float | None, young: float, old: float
) -> None:
    async with system(fresh_database_url) as running:
        job_id = await enqueued(running)
        await claimed(running)
        lines = [{"n": n, "at": "2026-02-03T04:05:06Z", "message": f"page {n}"} for n in (1, 2)]
        told_lines = {"job_id": job_id, "attempt": 1, "lines": lines}
        assert (await told(running, "job.log", {"attempts": [told_lines]})).result == {"kept": 2}
        for n, seconds in ((1, old), (2, young)):
            age = "UPDATE job_logs SET recorded_at = clock_timestamp() - make_interval(secs => $2) WHERE n = $1"
            assert await running.storage.pool.execute(age, n, seconds) == "UPDATE 1"
    given = {} if retention is None else {"modules": {"jobs": {"retention": {"logs": retention}}}}

    async def messages() -> list[str]:
        found = await asked(running, "job.logs", {"job_id": job_id})
        return [line["message"] for line in found["lines"]]

    async with running_service(fresh_database_url, settings=Settings.model_validate(given)) as service:
        running = service.system
        await eventually(messages, lambda found: found == ["page 2"])


async def test_a_process_without_the_timers_forgets_nothing(fresh_database_url: str) -> None:
    async with system(fresh_database_url, ["api"]) as running:
        await enqueued(running, "m-old")
    await aged(fresh_database_url, {"m-old": 30 * DAY})
    async with system(fresh_database_url, ["api", "projector"]) as running:
        again = await executed(running, "job.enqueue", {"name": "transcribe"}, context("m-old"))
        assert again.to_wire()["result"]["job_id"]
    assert await kept(fresh_database_url, ["m-old"]) == {"m-old"}
