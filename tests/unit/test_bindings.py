"""What binds jobs to each other within one flush, where the database does not show it yet."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.postgres.bindings import Bindings, State
from adapters.postgres.rows import Link
from domain.aggregate import Event
from domain.job import KIND
from domain.job_events import Cancelled, Checkpointed, Completed, Removed
from domain.ports import Append, KeyTaken, Metadata, Parents, ParentsMissing, StreamName, UniqueKey, Work

NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
PARENT, CHILD = StreamName(KIND, "acme", "j-17"), StreamName(KIND, "acme", "j-18")
KEY = UniqueKey("invoice/7", "done", None)


def bindings(state: State = "open") -> Bindings:
    return Bindings({("acme", KEY.key): PARENT}, {PARENT.text: state}, {})


def of_parent(kind: type[Event], **data: Any) -> Append:
    return Append(PARENT, 3, [kind(PARENT.text, 4, NOW, **data)], Metadata("acme"), work=Work(None))


def child(**work: Any) -> Append:
    return Append(CHILD, 0, [], Metadata("acme"), work=Work("ready", **work))


AFTER = {"parents": Parents((PARENT,), "cancel")}
CHECKPOINT = of_parent(Checkpointed, attempt=1, state={"row": 8}, number=1)


def test_given_a_removal_when_a_job_is_to_come_after_it_in_the_same_flush_then_its_parent_is_missing() -> None:
    known = bindings("completed")
    known.note(of_parent(Removed))
    assert known.objection(child(**AFTER)) == ParentsMissing((PARENT.id,))


@pytest.mark.parametrize(
    ("append", "links"),
    [
        (of_parent(Completed, attempt=1, result=None), []),
        (of_parent(Cancelled, reason=None), [Link(PARENT.text, PARENT.id, "cancel", True)]),
        (CHECKPOINT, [Link(PARENT.text, PARENT.id, "cancel", False)]),
    ],
)
def test_given_what_a_parent_has_just_recorded_when_a_child_comes_then_it_waits_for_what_is_still_to_come(
    append: Append, links: list[Link]
) -> None:
    known = bindings()
    known.note(append)
    assert known.objection(child(**AFTER)) is None
    assert known.links(child(**AFTER)) == links


def test_given_the_holder_of_a_key_when_it_ends_then_the_key_is_free_and_when_it_goes_on_then_not() -> None:
    known = bindings()
    known.note(CHECKPOINT)
    assert known.objection(child(unique=KEY)) == KeyTaken(PARENT)
    known.note(of_parent(Completed, attempt=1, result=None))
    assert known.objection(child(unique=KEY)) is None
