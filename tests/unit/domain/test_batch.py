"""What a batch records: given its history, when it is told something, then these events or this refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from domain import batch as domain
from domain.aggregate import Event
from domain.batch import Batch
from domain.errors import BatchEnded
from tests.controls.clock import NOW, later

STREAM = "batch:acme:b-15"
CALLBACK = {"name": "report", "data": {"to": "kim"}, "queue": "mail", "priority": 3}
CREATED = domain.BatchCreated(STREAM, 1, NOW, name="import", on_complete=CALLBACK, on_success=None)
SEALED = domain.BatchSealed(STREAM, 2, later(1))
CANCELLED = domain.BatchCancelled(STREAM, 2, later(1), reason="wrong file")
COMPLETED = domain.BatchCompleted(STREAM, 3, later(2), total=7, completed=4, failed=2, cancelled=1)
SUCCEEDED = domain.BatchSucceeded(STREAM, 4, later(3), total=7)


def given(*history: Event) -> Batch:
    batch = Batch.replayed(history)
    assert batch is not None
    return batch


def test_a_new_batch_keeps_what_is_to_follow_it() -> None:
    batch = Batch.create(STREAM, NOW, name="import", on_complete=CALLBACK, on_success=None)
    assert batch.collected() == [CREATED]
    assert (batch.is_sealed, batch.is_cancelled, batch.completed_at) == (False, False, None)


@pytest.mark.parametrize(
    ("history", "when", "then"),
    [
        ((CREATED,), lambda batch: batch.seal(later(1)), [SEALED]),
        ((CREATED, SEALED), lambda batch: batch.seal(later(5)), []),
        ((CREATED,), lambda batch: batch.cancel("wrong file", later(1)), [CANCELLED]),
        ((CREATED, CANCELLED), lambda batch: batch.cancel("again", later(5)), []),
        # A batch that was cancelled takes no more jobs.
        ((CREATED, CANCELLED), lambda batch: batch.seal(later(5)), []),
        ((CREATED, SEALED), lambda batch: batch.complete(7, 4, 2, 1, later(2)), [COMPLETED]),
        ((CREATED, SEALED, COMPLETED), lambda batch: batch.complete(7, 7, 0, 0, later(5)), []),
        ((CREATED, SEALED, COMPLETED), lambda batch: batch.succeed(7, later(3)), [SUCCEEDED]),
        ((CREATED, SEALED, COMPLETED, SUCCEEDED), lambda batch: batch.succeed(7, later(5)), []),
    ],
)
def test_a_batch_records_what_is_new(
    history: tuple[Event, ...], when: Callable[[Batch], Any], then: list[Event]
) -> None:
    batch = given(*history)
    when(batch)
    assert batch.collected() == then


def test_only_the_first_end_is_one() -> None:
    batch = given(CREATED, SEALED)
    assert [batch.complete(7, 4, 2, 1, later(2)), batch.complete(7, 4, 2, 1, later(2))] == [True, False]
    assert [batch.succeed(7, later(3)), batch.succeed(7, later(3))] == [True, False]


def test_a_batch_whose_jobs_have_all_ended_is_not_cancelled() -> None:
    batch = given(CREATED, SEALED, COMPLETED)
    with pytest.raises(BatchEnded):
        batch.cancel(None, later(5))
    assert batch.collected() == []
