"""The rules of a job."""

from __future__ import annotations

from domain import job_events
from domain.errors import JobEnded, JobRunning, NotDeadLettered, StaleAttempt
from domain.job import Job
from tests.controls.clock import NOW, later
from tests.controls.jobs import (
    BROKEN_PIPE,
    NEVER,
    STREAM,
    cancelled,
    completed,
    dead,
    dead_lettered,
    enqueued,
    failed,
    scheduled,
    started,
    wish,
)
from tests.support.spec import given


def test_a_job_begins_with_the_wish_as_it_was_given() -> None:
    job_ = given().when(lambda _: Job.enqueue(STREAM, NOW, **wish())).then(enqueued())
    assert job_.to_wire()["status"] == "pending"


def test_a_job_for_later_is_delayed() -> None:
    due = later(60)
    job_ = given().when(lambda _: Job.enqueue(STREAM, NOW, **wish(run_at=due))).then(enqueued(run_at=due))
    assert job_.to_wire()["status"] == "delayed"


def test_a_due_time_that_has_come_is_no_delay() -> None:
    given().when(lambda _: Job.enqueue(STREAM, NOW, **wish(run_at=NOW))).then(enqueued(run_at=None))


def test_the_running_attempt_completes_the_job() -> None:
    given(enqueued(), started(2)).when(lambda it: it.complete(1, "done", later(3))).then(completed(3))


def test_a_repeated_completion_changes_nothing() -> None:
    given(enqueued(), started(2), completed(3)).when(lambda it: it.complete(1, "other", later(9))).nothing()


def test_a_job_that_has_not_begun_takes_no_result() -> None:
    given(enqueued()).when(lambda it: it.complete(1, "done", later(3))).refused(StaleAttempt)


def test_a_cancelled_job_takes_no_result() -> None:
    refusal = (
        given(enqueued(), started(2), cancelled(3))
        .when(lambda it: it.complete(1, "done", later(5)))
        .refused(StaleAttempt)
    )
    assert (refusal.attempt, refusal.current, refusal.status) == (1, 1, "cancelled")


def test_an_overtaken_attempt_writes_nothing() -> None:
    history = (enqueued(), started(2), failed(3), scheduled(4, 1, later(2), later(13.1)), started(5, attempt=2))
    given(*history).when(lambda it: it.complete(1, "late", later(20))).refused(StaleAttempt)
    given(*history).when(lambda it: it.fail(1, BROKEN_PIPE, True, later(20))).refused(StaleAttempt)
    given(*history).when(lambda it: it.lose(1, "w-5", later(20))).refused(StaleAttempt)
    given(*history).when(lambda it: it.give_back(1, "no room", later(20))).refused(StaleAttempt)


def test_a_failed_attempt_is_followed_by_another_after_the_policy_s_wait() -> None:
    given(enqueued(), started(2)).when(lambda it: it.fail(1, BROKEN_PIPE, True, later(2))).then(
        failed(3), scheduled(4, 1, later(2), later(13.1))
    )


def test_the_worker_may_choose_the_wait_but_not_whether_there_is_another_attempt() -> None:
    given(enqueued(), started(2)).when(lambda it: it.fail(1, BROKEN_PIPE, True, later(2), 60.0)).then(
        failed(3), scheduled(4, 1, later(2), later(62))
    )
    given(enqueued(max_attempts=1), started(2)).when(lambda it: it.fail(1, BROKEN_PIPE, True, later(2), 60.0)).then(
        failed(3), dead(4, 1, "its one attempt failed")
    )
    given(enqueued(retry=NEVER), started(2)).when(lambda it: it.fail(1, BROKEN_PIPE, True, later(2), 60.0)).then(
        failed(3), dead(4, 1, "its policy is not to retry")
    )


def test_the_last_failure_puts_the_job_among_the_dead_letters() -> None:
    given(enqueued(max_attempts=1), started(2)).when(lambda it: it.fail(1, BROKEN_PIPE, True, later(2))).then(
        failed(3), dead(4, 1, "its one attempt failed")
    )


def test_an_error_that_is_not_retryable_spares_the_other_attempts() -> None:
    given(enqueued(), started(2)).when(lambda it: it.fail(1, BROKEN_PIPE, False, later(2))).then(
        failed(3), dead(4, 1, "the error is not retryable")
    )


def test_a_policy_without_retries_spares_the_other_attempts() -> None:
    given(enqueued(retry=NEVER), started(2)).when(lambda it: it.fail(1, BROKEN_PIPE, True, later(2))).then(
        failed(3), dead(4, 1, "its policy is not to retry")
    )


def test_a_lost_attempt_counts() -> None:
    given(enqueued(max_attempts=1), started(2)).when(lambda it: it.lose(1, "w-5", later(40))).then(
        job_events.AttemptLost(STREAM, 3, later(40), attempt=1, worker="w-5"),
        dead(4, 1, "its one attempt failed", later(40)),
    )


def test_an_attempt_handed_back_does_not_count() -> None:
    returned = job_events.AttemptReturned(STREAM, 3, later(2), attempt=1, reason="no room")
    job_ = given(enqueued(), started(2)).when(lambda it: it.give_back(1, "no room", later(2))).then(returned)
    assert job_.to_wire()["status"] == "pending"
    assert job_.to_wire()["attempts"] == 0


def test_a_waiting_delayed_or_running_job_can_be_cancelled() -> None:
    for history in ((enqueued(),), (enqueued(run_at=later(60)),), (enqueued(), started(2))):
        version = len(history) + 1
        given(*history).when(lambda it: it.cancel(None, later(4))).then(cancelled(version))


def test_cancelling_twice_changes_nothing() -> None:
    given(enqueued(), cancelled(2)).when(lambda it: it.cancel("again", later(9))).nothing()


def test_a_job_that_has_ended_cannot_be_cancelled() -> None:
    given(enqueued(), started(2), completed(3)).when(lambda it: it.cancel(None, later(4))).refused(JobEnded)
    given(*dead_lettered()).when(lambda it: it.cancel(None, later(4))).refused(JobEnded)


def test_a_dead_letter_is_revived_with_as_many_attempts_as_it_had_at_first() -> None:
    revived = job_events.Revived(STREAM, 5, later(9), max_attempts=2, reason="mended")
    job_ = given(*dead_lettered()).when(lambda it: it.revive("mended", later(9))).then(revived)
    assert job_.to_wire()["status"] == "pending"


def test_only_a_dead_letter_can_be_revived() -> None:
    given(enqueued()).when(lambda it: it.revive(None, later(9))).refused(NotDeadLettered)
    given(enqueued(), started(2), completed(3)).when(lambda it: it.revive(None, later(9))).refused(NotDeadLettered)


def test_a_removed_dead_letter_stays_gone() -> None:
    history = (*dead_lettered(), job_events.Removed(STREAM, 5, later(8)))
    given(*history).when(lambda it: it.revive(None, later(9))).refused(NotDeadLettered)


def test_removing_a_waiting_job_cancels_it_first() -> None:
    given(enqueued()).when(lambda it: it.remove(later(4))).then(
        cancelled(2, reason="removed"), job_events.Removed(STREAM, 3, later(4))
    )


def test_removing_twice_changes_nothing() -> None:
    history = (enqueued(), started(2), completed(3), job_events.Removed(STREAM, 4, later(4)))
    given(*history).when(lambda it: it.remove(later(5))).nothing()


def test_a_running_job_cannot_be_removed() -> None:
    given(enqueued(), started(2)).when(lambda it: it.remove(later(4))).refused(JobRunning)
