"""Caps and rates hold for two processes of the service together, by the database's own times."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest
from pydantic_core import from_json

from millrace.contracts.wire import Accepted
from tests.support.systems import batch, system, told

ROOT = Path(__file__).parents[2]
SECONDS = 150.0
QUEUE_CAP, NAME_CAP, KEY_CAP = 4, 2, 1
LIMITS: dict[str, Any] = {
    "concurrency": QUEUE_CAP,
    "rate": {"limit": 30, "period": 1, "burst": 4},
    "per_name": {"resize": {"concurrency": NAME_CAP, "rate": {"limit": 8, "period": 1, "burst": 2}}},
    "per_key": {"concurrency": KEY_CAP, "rate": {"limit": 5, "period": 1, "burst": 1}},
}
# Names have keys of their own, so that jobs which wait for their name keep no others from running.
WISHES = [{"name": "resize", "key": f"r-{n % 4}"} for n in range(16)]
WISHES += [{"name": "transcribe", "key": f"t-{n % 5}"} for n in range(30)]
EVENTS = """
SELECT subject, topic, recorded_at, state FROM stored_events
 WHERE kind = 'job' AND topic <> 'job.enqueued' ORDER BY notification_id
"""


class Step(NamedTuple):
    """An attempt of a job begins (+1) or ends (-1)."""

    name: str
    key: str
    change: int
    at: datetime
    worker: str | None


async def steps_of_two_processes(dsn: str, limits: dict[str, Any], together: int) -> list[Step]:
    """What two processes with three workers each have recorded, in the order of the log, once all jobs have ended."""
    async with system(dsn) as side:
        if limits:
            await told(side, "queue.configure", {"name": "default", **limits})
        answers = await batch(side, "job.enqueue", [dict(wish) for wish in WISHES])
    jobs = [answer.result["job_id"] for answer in answers if isinstance(answer, Accepted)]
    of = dict(zip(jobs, WISHES, strict=True))
    processes = [await _process(dsn, name, together) for name in ("one", "two")]
    try:
        async with asyncio.timeout(SECONDS):
            for process in processes:
                output, _ = await process.communicate()
                assert process.returncode == 0, output.decode()
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
                await process.wait()
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(EVENTS)
    finally:
        await connection.close()
    assert Counter(row["topic"] for row in rows) == {"job.started": len(jobs), "job.completed": len(jobs)}
    return [
        Step(
            **of[row["subject"]],
            change=1 if row["topic"] == "job.started" else -1,
            at=row["recorded_at"],
            worker=from_json(row["state"]).get("worker"),
        )
        for row in rows
    ]


async def _process(dsn: str, name: str, together: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.limits_process", dsn, name, str(together)),
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


def most_at_once(steps: Iterable[Step]) -> int:
    """How many attempts ran at the same time."""
    running, most = 0, 0
    for step in steps:
        running += step.change
        most = max(most, running)
    return most


def surplus(starts: Sequence[datetime], rate: dict[str, Any]) -> float:
    """By how many starts a window of time exceeds its rate, in the worst one; none where it is not above 0."""
    return max(
        n - first + 1 - rate["burst"] - (at - starts[first]).total_seconds() * rate["limit"] / rate["period"]
        for n, at in enumerate(starts)
        for first in range(n + 1)
    )


def starts(steps: Iterable[Step]) -> list[datetime]:
    return [step.at for step in steps if step.change > 0]


def parts(steps: Sequence[Step]) -> dict[str, tuple[list[Step], int, dict[str, Any]]]:
    """The steps that each limit is about, with its cap and its rate."""
    resize, per_key = LIMITS["per_name"]["resize"], LIMITS["per_key"]
    keys = {step.key for step in steps}
    return {
        "queue": (list(steps), QUEUE_CAP, LIMITS["rate"]),
        "name": ([step for step in steps if step.name == "resize"], NAME_CAP, resize["rate"]),
        **{key: ([step for step in steps if step.key == key], KEY_CAP, per_key["rate"]) for key in keys},
    }


async def test_two_processes_keep_to_every_cap_and_every_rate(fresh_database_url: str) -> None:
    steps = await steps_of_two_processes(fresh_database_url, LIMITS, together=QUEUE_CAP)
    assert {(step.worker or "").partition("-")[0] for step in steps if step.change > 0} == {"one", "two"}
    assert [step.at for step in steps] == sorted(step.at for step in steps)
    for what, (of_it, cap, rate) in parts(steps).items():
        assert most_at_once(of_it) <= cap, what
        # The clock of the database has microseconds.
        assert surplus(starts(of_it), rate) <= 1e-3, what
    assert most_at_once(steps) == QUEUE_CAP, "the first four are kept until all of them have started"


async def test_the_check_finds_that_nobody_keeps_to_a_cap_where_there_is_none(fresh_database_url: str) -> None:
    steps = await steps_of_two_processes(fresh_database_url, {}, together=6)
    assert most_at_once(steps) == 6


@pytest.mark.parametrize(("gaps", "over"), [([0, 0, 1, 1], False), ([0, 0, 0], True), ([0, 0, 1, 0.5], True)])
def test_the_check_finds_one_start_too_many(gaps: list[float], over: bool) -> None:
    at, times = datetime(2030, 1, 1, tzinfo=UTC), []
    for gap in gaps:
        at += timedelta(seconds=gap)
        times.append(at)
    assert (surplus(times, {"limit": 1, "period": 1, "burst": 2}) > 1e-3) is over
