"""What a handler is told about its job."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from millrace import JobContext
from millrace.contracts.job_fields import SCHEDULED_FOR


def grant(**data: Any) -> dict[str, Any]:
    return {
        "job_id": "j", "name": "report", "data": data, "queue": "default", "priority": 0, "attempt": 1, "attempts": 1,
        "max_attempts": 3, "timeout": 60.0, "created_at": "2026-02-03T04:05:06+00:00",
    }  # fmt: skip


def test_the_time_of_a_run_is_no_argument_and_goes_with_the_job_into_another_process() -> None:
    given = grant(kind="daily", **{SCHEDULED_FOR: "2026-02-03T02:00:00+00:00"})
    for job in (JobContext(given), JobContext(JobContext(given).grant())):
        assert job.data == {"kind": "daily"}
        assert job.scheduled_for == datetime(2026, 2, 3, 2, tzinfo=UTC)
    assert SCHEDULED_FOR in given["data"]


def test_a_job_that_no_schedule_has_started_has_no_such_time() -> None:
    assert JobContext(grant(kind="daily")).scheduled_for is None


def test_what_is_no_time_is_refused_when_it_is_asked_for() -> None:
    job = JobContext(grant(**{SCHEDULED_FOR: "soon"}))
    with pytest.raises(ValueError, match="soon"):
        _ = job.scheduled_for
