"""The one reason for which a job has not started, from where it stands."""

from __future__ import annotations

from typing import Any

import pytest

from millrace.contracts.why import MOST_COUNTED, Ready, Running, Standing, Waiting, why
from tests.controls.clock import later

JOB: dict[str, Any] = {
    "id": "11", "status": "pending", "attempts": 0, "max_attempts": 3, "error": None, "dead_lettered": False,
    "completed_at": None, "failed_at": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("standing", "code", "words"),
    [
        (Ready("media", 3, 1, 0, 0), "no-worker", "no worker is connected"),
        (Ready("media", 3, 1, 2, 0), "no-worker-for-queue", "none of the 2 workers looks into queue 'media'"),
        (Ready("media", 3, 1, 2, 1), "jobs-ahead", "3 jobs of queue 'media' come first, 1 of them by priority"),
        (Ready("media", MOST_COUNTED, 0, 2, 1), "jobs-ahead", "10000 or more jobs"),
        (Ready("media", 0, 0, 2, 1), "next", "as soon as one of its workers has room"),
        (Waiting("delayed", later(9)), "delayed", later(9).isoformat()),
        (Waiting("paused", None), "paused", "its queue is paused"),
        (Waiting("rate_limited", later(9)), "rate-limited", "as its rate allows"),
        (Waiting("moon_phase", None), "moon-phase", "it waits: moon_phase"),
        (Running(1, "w-5", later(9)), "running", "runs on w-5"),
    ],
)
def test_each_place_has_its_reason(standing: Standing, code: str, words: str) -> None:
    told = why(JOB, standing)
    assert told.code == code
    assert words in told.reason


def test_a_time_after_a_failure_is_a_retry() -> None:
    told = why({**JOB, "attempts": 1, "error": "no disk"}, Waiting("delayed", later(9)))
    assert (told.code, told.reason) == ("retry", f"attempt 2 of 3 is due at {later(9).isoformat()}, after no disk")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"status": "completed"}, "completed"),
        ({"status": "cancelled"}, "cancelled"),
        ({"status": "failed", "dead_lettered": True, "error": "no disk"}, "dead-lettered"),
    ],
)
def test_what_has_ended_says_how(changed: dict[str, Any], code: str) -> None:
    assert why({**JOB, **changed}, None).code == code
