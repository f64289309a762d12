"""What a new job meets whose unique key another one has."""

from __future__ import annotations

from typing import Any

import pytest

from domain import job_events
from domain.aggregate import Event
from domain.errors import DuplicateJob
from domain.job import Job
from handlers import uniqueness
from handlers.routes import Moment
from millrace.contracts.job import Enqueue
from tests.controls.clock import NOW, later
from tests.controls.jobs import STREAM, cancelled, completed, enqueued, started

AT = Moment(later(9), "22", "job:acme:22", 0, "e1")
KEY = {"key": "k-7", "until": "done", "ttl": None}


def wish(on_conflict: str) -> Enqueue:
    return Enqueue.model_validate({"name": "n", "unique": {"key": "k-7", "on_conflict": on_conflict}})


def holder(*events: Event) -> Job:
    found = Job.replayed([enqueued(unique=KEY), *events])
    assert found is not None
    return found


@pytest.mark.parametrize("on_conflict", ["reject", "existing", "replace"])
@pytest.mark.parametrize("ending", [(started(2), completed(3)), (cancelled(2),)])
def test_a_key_whose_holder_has_ended_is_free(on_conflict: str, ending: tuple[Event, ...]) -> None:
    assert uniqueness.resolve(holder(*ending), "11", wish(on_conflict), AT) is None
    assert uniqueness.resolve(None, "11", wish(on_conflict), AT) is None


def test_reject_names_the_holder() -> None:
    with pytest.raises(DuplicateJob, match=r"'k-7' is taken by job 11, which has not ended") as refused:
        uniqueness.resolve(holder(), "11", wish("reject"), AT)
    assert refused.value.extra == {"job_id": "11"}


@pytest.mark.parametrize(("events", "status"), [((), "pending"), ((started(2),), "processing")])
def test_existing_answers_with_the_holder_and_records_nothing(events: tuple[Event, ...], status: str) -> None:
    taken = holder(*events)
    decided = uniqueness.resolve(taken, "11", wish("existing"), AT)
    assert decided is not None
    told: dict[str, Any] = decided.result
    assert (told["job_id"], told["status"], told["created_at"], told["existing"]) == ("11", status, NOW, True)
    assert taken.collected() == []


def test_replace_cancels_a_waiting_holder_and_lets_the_new_job_in() -> None:
    taken = holder()
    assert uniqueness.resolve(taken, "11", wish("replace"), AT) is None
    assert taken.collected() == [job_events.Cancelled(STREAM, 2, later(9), reason="replaced by 22")]


def test_replace_leaves_a_running_holder_alone() -> None:
    taken = holder(started(2))
    with pytest.raises(DuplicateJob, match="which is running and so cannot be replaced"):
        uniqueness.resolve(taken, "11", wish("replace"), AT)
    assert taken.collected() == []


def test_only_those_that_replace_each_other_go_one_after_the_other() -> None:
    assert uniqueness.lane(wish("replace")) == "k-7"
    assert uniqueness.lane(wish("reject")) is uniqueness.lane(Enqueue(name="n")) is None
