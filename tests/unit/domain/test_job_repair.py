"""Mending a job that is among the dead letters, and taking that back."""

from __future__ import annotations

from typing import Any

import pytest

from domain import job_events, job_repair
from domain.errors import NotDeadLettered, NothingToUndo
from domain.job import Job
from tests.controls.clock import later
from tests.controls.jobs import FAILED_AT, STREAM, cancelled, dead, dead_lettered, enqueued, started, wish
from tests.support.spec import given

ORIGINAL = wish()["data"]
MENDED = {"file": "b-17.wav", "speed": 1.1}
PATCH = [{"op": "replace", "path": "/file", "value": "b-17.wav"}]


def edited(version: int = 5, data: dict[str, Any] = MENDED) -> job_repair.Edited:
    return job_repair.Edited(STREAM, version, later(5), patch=PATCH, data=data, reason="typo")


def revived(version: int = 5) -> job_events.Revived:
    return job_events.Revived(STREAM, version, later(6), max_attempts=2, reason=None)


def retry_undone(version: int = 6) -> tuple[job_events.JobEvent, ...]:
    undone = job_repair.RetryUndone(
        STREAM, version + 1, later(7), max_attempts=1, failed_at=FAILED_AT, reason="too soon"
    )
    return dead(version, 1, "its retry was undone", later(7)), undone


def edit(it: Job, data: dict[str, Any] = MENDED) -> None:
    job_repair.edit(it, PATCH, data, "typo", later(5))


def test_a_dead_letter_gets_other_data_and_stays_where_it_is() -> None:
    mended = given(*dead_lettered()).when(edit).then(edited())
    state = mended.to_wire()
    assert (state["data"], state["status"], state["dead_lettered"]) == (MENDED, "failed", True)


def test_the_retry_runs_with_the_edited_data() -> None:
    retried = given(*dead_lettered(), edited()).when(lambda it: it.revive(None, later(6))).then(revived(6))
    assert retried.to_wire()["data"] == MENDED


def test_data_as_it_was_is_no_edit() -> None:
    given(*dead_lettered()).when(lambda it: edit(it, dict(ORIGINAL))).nothing()


@pytest.mark.parametrize(
    "history",
    [
        (enqueued(),),
        (enqueued(), started(2)),
        (*dead_lettered(), revived()),
        (*dead_lettered(), job_events.Removed(STREAM, 5, later(5))),
    ],
    ids=["waits", "runs", "was retried", "was removed"],
)
def test_only_a_dead_letter_is_edited(history: tuple[job_events.JobEvent, ...]) -> None:
    given(*history).when(edit).refused(NotDeadLettered)


def undo(it: Job) -> None:
    job_repair.undo(it, "too soon", later(7))


def test_a_retry_that_has_not_started_is_undone() -> None:
    back = given(*dead_lettered(), revived()).when(undo).then(*retry_undone())
    state = back.to_wire()
    assert (state["status"], state["dead_lettered"], state["max_attempts"]) == ("failed", True, 1)
    assert state["failed_at"] == FAILED_AT


def test_a_retry_that_has_started_stands() -> None:
    refusal = given(*dead_lettered(), revived(), started(6, 2)).when(undo).refused(NothingToUndo)
    assert refusal.status == "processing"


def test_a_retry_that_was_started_and_handed_back_stands() -> None:
    handed_back = job_events.AttemptReturned(STREAM, 7, later(7), attempt=2, reason="no room")
    given(*dead_lettered(), revived(), started(6, 2), handed_back).when(undo).refused(NothingToUndo)


def test_a_retried_job_that_was_cancelled_stays_cancelled() -> None:
    given(*dead_lettered(), revived(), cancelled(6)).when(undo).refused(NothingToUndo)


def test_the_newest_edit_is_undone_first() -> None:
    other = {"file": "c-17.wav"}
    first = job_repair.EditUndone(STREAM, 7, later(7), data=MENDED, reason="too soon")
    second = job_repair.EditUndone(STREAM, 8, later(7), data=ORIGINAL, reason="too soon")
    given(*dead_lettered(), edited(), edited(6, other)).when(undo).then(first)
    back = given(*dead_lettered(), edited(), edited(6, other), first).when(undo).then(second)
    assert back.to_wire()["data"] == ORIGINAL
    given(*dead_lettered(), edited(), edited(6, other), first, second).when(undo).refused(NothingToUndo)


def test_the_retry_is_undone_before_the_edit() -> None:
    life = (*dead_lettered(), edited(), revived(6))
    given(*life).when(undo).then(*retry_undone(7))
    undone = job_repair.EditUndone(STREAM, 9, later(7), data=ORIGINAL, reason="too soon")
    given(*life, *retry_undone(7)).when(undo).then(undone)


def test_a_job_that_never_failed_has_nothing_to_undo() -> None:
    given(enqueued()).when(undo).refused(NothingToUndo)


def test_a_removal_says_why() -> None:
    gone = job_events.Removed(STREAM, 5, later(5), reason="obsolete")
    given(*dead_lettered()).when(lambda it: it.remove(later(5), "obsolete")).then(gone)
