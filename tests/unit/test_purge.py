"""Purging by filter takes only what is a dead letter at that moment."""

from __future__ import annotations

import pytest

from domain import job_events
from domain.aggregate import Event
from domain.errors import NotDeadLettered
from domain.job import Job
from handlers.job_repair import Purge, purge
from handlers.routes import Moment
from tests.controls.clock import later
from tests.controls.jobs import STREAM, dead_lettered

AT = Moment(later(9), "11", STREAM, 0, "e1")
WISH = Purge(job_id="11", reason="obsolete")


def replayed(*events: Event) -> Job:
    found = Job.replayed([*dead_lettered(), *events])
    assert found is not None
    return found


def test_a_dead_letter_is_removed_with_the_reason() -> None:
    decided = purge(replayed(), WISH, AT)
    assert decided.aggregate.collected() == [job_events.Removed(STREAM, 5, later(9), reason="obsolete")]


@pytest.mark.parametrize(
    ("event", "state"),
    [
        (job_events.Revived(STREAM, 5, later(6), max_attempts=2, reason=None), "pending"),
        (job_events.Removed(STREAM, 5, later(6), reason=None), "removed"),
    ],
)
def test_what_has_left_the_dead_letters_meanwhile_stays_as_it_is(event: Event, state: str) -> None:
    left = replayed(event)
    with pytest.raises(NotDeadLettered, match=state):
        purge(left, WISH, AT)
    assert left.collected() == []
