"""Which reports may name a stored result, and which parts of results are needed."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from domain import job as domain
from domain.aggregate import Event
from domain.archive import StreamArchived
from domain.ports import AttemptParts, Loaded, Metadata
from handlers.result_cleaner import needed_parts
from millrace.contracts.job_result import MAX_RESULT_BYTES, STORED, StoredResult, stored_of
from millrace.contracts.job_running import Report
from tests.controls.clock import NOW
from tests.controls.jobs import STREAM, cancelled, completed, enqueued, failed, started

A, B = "a" * 64, "b" * 64
WHERE = {"sha256": B, "size": 5, "content_type": "application/json", "parts": [{"sha256": A, "size": 5}]}
UPLOADED = AttemptParts("acme", "j", 1, ((A, 5), (B, 7)))
EVERYTHING = {A, B}
STORED_RESULT = {STORED: WHERE}


def removed(version: int) -> domain.Removed:
    return domain.Removed(STREAM, version, NOW, reason=None)


@pytest.mark.parametrize(
    ("given", "needed"),
    [
        (None, set()),  # there never was such a job
        ([enqueued(), started(2)], EVERYTHING),
        ([enqueued(), started(2), completed(3, result=STORED_RESULT)], {A}),
        ([enqueued(), started(2), completed(3, result={"pages": 3})], set()),
        ([enqueued(), started(2), failed(3)], set()),
        ([enqueued(), started(2), failed(3), started(4, attempt=2)], set()),
        ([enqueued(), started(2), cancelled(3)], set()),
        ([enqueued(), started(2), completed(3, result=STORED_RESULT), removed(4)], set()),
        ([StreamArchived(STREAM, 1, NOW, "acme/archive/1", A, 9)], set()),
    ],
)
def test_parts_are_needed_by_the_result_or_while_the_attempt_runs(given: list[Event] | None, needed: set[str]) -> None:
    loaded = None if given is None else Loaded(None, given, Metadata("acme"), 9)
    assert needed_parts(UPLOADED, loaded)[0] == needed


def test_a_running_attempt_is_looked_at_again_soon_and_a_completed_one_late() -> None:
    story = [enqueued(), started(2), completed(3, result=STORED_RESULT)]
    soon = needed_parts(UPLOADED, Loaded(None, story[:2], Metadata("acme"), 9))[1]
    late = needed_parts(UPLOADED, Loaded(None, story, Metadata("acme"), 9))[1]
    assert (soon, late) == (60, 86_400)


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"outcome": "failed", "error": {}, "stored": WHERE}, "completed"),
        ({"outcome": "completed", "result": 1, "stored": WHERE}, "in place of"),
        ({"outcome": "completed", "result": STORED_RESULT}, "stored"),
        ({"outcome": "completed", "stored": {**WHERE, "size": 6}}, "add up"),
        ({"outcome": "completed", "stored": {**WHERE, "size": MAX_RESULT_BYTES + 1}}, "less than or equal"),
        ({"outcome": "completed", "stored": {**WHERE, "parts": []}}, "at least 1"),
        ({"outcome": "completed", "stored": {**WHERE, "content_type": "text/html"}}, "application/json"),
        ({"outcome": "completed", "stored": {**WHERE, "sha256": "../" + "a" * 61}}, "pattern"),
    ],
)
def test_a_report_that_does_not_fit_is_refused(given: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong):
        Report.model_validate({"job_id": "j", "attempt": 1, **given})


def test_a_result_is_known_from_where_it_is() -> None:
    assert stored_of(STORED_RESULT) == StoredResult.model_validate(WHERE)
    assert stored_of({"pages": 3}) is stored_of(None) is stored_of([STORED]) is None
