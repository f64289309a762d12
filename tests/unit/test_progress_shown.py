"""The time that is left, as a reader sees it: from the recorded rate, less what has passed since."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from millrace.contracts.progress_reading import shown

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def state(**changes: Any) -> dict[str, Any]:
    return {
        "status": "processing", "progress": 40.0, "rate": 2.0, "stalled_at": None, "updated_at": NOW, "removed": False,
        **changes,
    }  # fmt: skip


@pytest.mark.parametrize(("passed", "left"), [(0, 30.0), (10, 20.0), (60, 0.0)])
def test_what_is_left_goes_down_as_time_passes_and_never_below_nothing(passed: float, left: float) -> None:
    assert shown(state(), NOW + timedelta(seconds=passed))["eta"] == left


@pytest.mark.parametrize("change", [{"rate": None}, {"status": "completed"}, {"stalled_at": NOW}])
def test_nothing_is_promised_of_what_does_not_move(change: dict[str, Any]) -> None:
    assert shown(state(**change), NOW)["eta"] is None
