"""What an attempt saves for the next one."""

from __future__ import annotations

from domain.errors import StaleAttempt
from tests.controls.clock import later
from tests.controls.jobs import BROKEN_PIPE, cancelled, checkpointed, enqueued, failed, scheduled, started
from tests.support.spec import given

PAGE_3, PAGE_7 = {"page": 3}, {"page": 7}
AT = later(1.5)


def test_the_running_attempt_saves_its_state() -> None:
    job = (
        given(enqueued(), started(2))
        .when(lambda it: it.save_checkpoint(1, PAGE_3, 1, AT))
        .then(checkpointed(3, PAGE_3, 1))
    )
    assert (job.to_wire()["status"], job.to_wire()["checkpoint"]) == ("processing", PAGE_3)


def test_a_checkpoint_that_was_overtaken_or_comes_again_changes_nothing() -> None:
    history = given(enqueued(), started(2), checkpointed(3, PAGE_7, 2))
    history.when(lambda it: it.save_checkpoint(1, PAGE_3, 1, AT)).nothing()
    history.when(lambda it: it.save_checkpoint(1, PAGE_7, 2, AT)).nothing()


def test_a_checkpoint_without_a_number_is_taken_as_it_comes() -> None:
    given(enqueued(), started(2), checkpointed(3, PAGE_7, 2)).when(
        lambda it: it.save_checkpoint(1, PAGE_3, 0, AT)
    ).then(checkpointed(4, PAGE_3))


def test_the_numbers_of_the_next_attempt_begin_anew_and_the_state_stays() -> None:
    history = (
        enqueued(), started(2), checkpointed(3, PAGE_7, 2), failed(4), scheduled(5, 1, later(2), later(13.1)),
        started(6, attempt=2),
    )  # fmt: skip
    job = given(*history).when(lambda it: it.save_checkpoint(2, PAGE_3, 1, AT)).then(checkpointed(7, PAGE_3, 1, 2))
    assert job.to_wire()["checkpoint"] == PAGE_3


def test_a_failure_leaves_the_checkpoint_to_the_next_attempt() -> None:
    job = (
        given(enqueued(), started(2), checkpointed(3, PAGE_7, 2))
        .when(lambda it: it.fail(1, BROKEN_PIPE, True, later(2)))
        .then(failed(4), scheduled(5, 1, later(2), later(13.1)))
    )
    assert job.to_wire()["checkpoint"] == PAGE_7


def test_only_the_valid_attempt_saves() -> None:
    given(enqueued()).when(lambda it: it.save_checkpoint(1, PAGE_3, 1, AT)).refused(StaleAttempt)
    given(enqueued(), started(2)).when(lambda it: it.save_checkpoint(2, PAGE_3, 1, AT)).refused(StaleAttempt)
    given(enqueued(), started(2), cancelled(3)).when(lambda it: it.save_checkpoint(1, PAGE_3, 1, AT)).refused(
        StaleAttempt
    )
