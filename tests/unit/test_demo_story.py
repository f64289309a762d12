"""The demo's story holds for a good run, and its checks catch each fault."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from demo.story import MENDED, MISTYPED, SHARD_FILES, repair_checks, survey_checks
from millrace.contracts.job import Job, JobStatus

START = datetime(2030, 1, 1, tzinfo=UTC)


def job(id: str, second: int, result: Any = None, **changes: Any) -> Job:
    times = {"created_at": START, "started_at": START + timedelta(seconds=second)}
    ended = {"completed_at": START + timedelta(seconds=second + 1), "status": JobStatus.COMPLETED, "attempts": 1}
    return Job.model_validate({"id": id, "name": id, "data": {}, "result": result, **times, **ended, **changes})


def surveyed() -> list[Job]:
    half = {"resumed_at": SHARD_FILES // 2, "bytes": 10}
    return [
        job("survey", 0),
        *(job(f"shard-{n}", 1, half, attempts=2) for n in range(2)),
        job("report", 2, {"shards": 2, "bytes": 20}),
    ]


def test_the_survey_of_a_good_run_holds() -> None:
    assert all(check.holds for check in survey_checks(surveyed(), "survey", 20))


@pytest.mark.parametrize(
    ("place", "change"),
    [
        (1, {"started_at": START}),
        (3, {"started_at": START + timedelta(seconds=1)}),
        (2, {"attempts": 1}),
        (1, {"result": {"resumed_at": 0, "bytes": 10}}),
        (3, {"result": {"shards": 2, "bytes": 19}}),
        (0, {"completed_at": None}),
    ],
)
def test_each_fault_of_the_survey_is_caught(place: int, change: dict[str, Any]) -> None:
    jobs = surveyed()
    jobs[place] = jobs[place].model_copy(update=change)
    assert not all(check.holds for check in survey_checks(jobs, "survey", 20))


def test_a_second_survey_is_caught() -> None:
    assert not all(check.holds for check in survey_checks(surveyed(), "another", 20))


def test_the_repair_of_a_good_run_holds_and_each_fault_is_caught() -> None:
    dead = job("m", 0, status=JobStatus.FAILED, dead_lettered=True)
    done = job("m", 5, 17, data={"path": "ast.py"})
    edits = [{"patch": MENDED, "reason": "a letter too many"}]
    good: tuple[Any, ...] = (dead, done, True, {"path": MISTYPED}, edits)
    assert all(check.holds for check in repair_checks(*good))
    faults: list[tuple[int, Any]] = [
        (0, None),
        (1, dead),
        (1, done.model_copy(update={"data": {"path": MISTYPED}})),
        (2, False),
        (3, {"path": "ast.py"}),
        (4, []),
    ]
    for place, fault in faults:
        assert not all(check.holds for check in repair_checks(*good[:place], fault, *good[place + 1 :]))
