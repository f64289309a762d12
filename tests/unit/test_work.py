"""Where a job stands for the claims after each of its events."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic_core import from_json

from domain import job_events
from domain.aggregate import Event
from domain.job import Job
from domain.ports import Metadata, Parents, StreamName, UniqueKey
from projections.work import work_of
from tests.controls.clock import later
from tests.controls.jobs import (
    STREAM,
    cancelled,
    checkpointed,
    completed,
    dead_lettered,
    enqueued,
    failed,
    scheduled,
    started,
)

ORIGIN = Metadata("acme", "north", "c-31", "m-11", "kim", "00-aa-bb-01")
RETURNED = job_events.AttemptReturned(STREAM, 3, later(2), attempt=1, reason="no room")
REVIVED = job_events.Revived(STREAM, 5, later(9), max_attempts=2, reason=None)
RETRIED = (enqueued(), started(2), failed(3), scheduled(4, 1, later(2), later(13.1)))


def placed(*history: Event, status_before: str | None = None) -> Any:
    aggregate = Job.replayed(history)
    assert aggregate is not None
    return work_of(aggregate, status_before, ORIGIN)


@pytest.mark.parametrize(
    ("history", "status_before", "place", "leaves"),
    [
        ((enqueued(),), None, "ready", set()),
        ((enqueued(run_at=later(60)),), None, "waiting", set()),
        ((enqueued(), started(2), completed(3)), "processing", None, {"leases"}),
        (RETRIED, "processing", "waiting", {"leases"}),
        (dead_lettered(), "processing", None, {"leases"}),
        ((*dead_lettered(), REVIVED), "failed", "ready", set()),
        ((enqueued(), started(2), RETURNED), "processing", "ready", {"leases"}),
        ((enqueued(), started(2), checkpointed(3, {"page": 17})), "processing", None, set()),
        # A limit, or the mover, may have moved it without an event.
        ((enqueued(), cancelled(2)), "pending", None, {"ready", "waiting"}),
        ((enqueued(run_at=later(60)), cancelled(2)), "delayed", None, {"ready", "waiting"}),
        ((enqueued(), started(2), cancelled(3)), "processing", None, {"leases"}),
    ],
)
def test_a_job_stands_where_its_status_says(
    history: tuple[Event, ...], status_before: str | None, place: str | None, leaves: set[str]
) -> None:
    work = placed(*history, status_before=status_before)
    assert work.place == place
    assert set(work.leaves) == leaves


def test_the_next_attempt_is_told_the_newest_checkpoint() -> None:
    history = (enqueued(), started(2), checkpointed(3, {"page": 17}), failed(4), scheduled(5, 1, later(2), later(13.1)))
    assert from_json(placed(*history, status_before="processing").task)["checkpoint"] == {"page": 17}
    assert "checkpoint" not in from_json(placed(enqueued()).task)


def test_a_job_of_higher_priority_ranks_first() -> None:
    assert placed(enqueued(priority=9)).rank < placed(enqueued(priority=7)).rank < placed(enqueued(priority=-3)).rank


def test_what_the_queue_adds_counts_like_the_job_s_own_priority() -> None:
    assert placed(enqueued(priority=3, queue_priority=6)).rank == placed(enqueued(priority=9, queue_priority=0)).rank


def test_the_next_attempt_is_numbered_after_the_last_even_if_that_was_handed_back() -> None:
    work = placed(enqueued(), started(2), RETURNED, status_before="processing")
    assert work.attempt == 2
    assert from_json(work.task)["attempts"] == 1


def test_a_retry_is_due_when_its_policy_says() -> None:
    assert placed(*RETRIED, status_before="processing").due_at == later(13.1)


def test_a_worker_is_told_what_the_job_is_and_who_caused_it() -> None:
    task = from_json(placed(enqueued()).task)
    assert task["data"] == {"file": "a-17.wav", "speed": 1.1}
    assert (task["name"], task["queue"], task["priority"], task["timeout"]) == ("transcribe", "media", 7, 61.5)
    assert (task["company"], task["correlation_id"], task["traceparent"]) == ("north", "c-31", "00-aa-bb-01")


UNIQUE = {"key": "k-7", "until": "done", "ttl": 90.5}


def test_a_new_job_takes_its_key_and_a_revived_one_takes_it_again() -> None:
    assert placed(enqueued(unique=UNIQUE)).unique == UniqueKey("k-7", "done", 90.5)
    dead = (enqueued(unique=UNIQUE, max_attempts=1), *dead_lettered()[1:])
    assert placed(*dead, status_before="processing").unique is None
    assert placed(*dead, REVIVED, status_before="failed").unique == UniqueKey("k-7", "done", 90.5)


def test_a_key_that_was_taken_until_the_start_is_not_taken_again() -> None:
    until_started = {**UNIQUE, "until": "started"}
    dead = (enqueued(unique=until_started, max_attempts=1), *dead_lettered()[1:])
    assert placed(enqueued(unique=until_started)).unique == UniqueKey("k-7", "started", 90.5)
    assert placed(*dead, REVIVED, status_before="failed").unique is None


def test_only_a_new_job_waits_for_others_and_joins_its_batch() -> None:
    new = placed(enqueued(after=["7", "9"], on_parent_failure="wait", batch="b-15"))
    parents = (StreamName("job", "acme", "7"), StreamName("job", "acme", "9"))
    assert (new.parents, new.batch) == (Parents(parents, "wait"), StreamName("batch", "acme", "b-15"))
    assert from_json(new.task)["after"] == ["7", "9"]
    retried = placed(enqueued(after=["7"], batch="b-15"), *RETRIED[1:], status_before="processing")
    assert (retried.parents, retried.batch) == (None, None)
