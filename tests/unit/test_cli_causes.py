from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from millrace.cli.causes import Branch, causes_tree
from millrace.contracts.log import CloudEvent


def event(id_: str, type_: str, subject: str, cause: str | None = None, version: int = 1) -> CloudEvent:
    fields: dict[str, Any] = {
        "source": "/millrace/job",
        "type": f"millrace.{type_}.v1",
        "data": {},
        "tenant": "default",
    }
    return CloudEvent(
        id=id_,
        eventtype=type_,
        subject=subject,
        causationid=cause,
        version=version,
        time=datetime(2030, 1, 1, tzinfo=UTC),
        position=f"e-{version}",
        **fields,
    )


def shape(branches: list[Branch]) -> list[Any]:
    return [
        (branch.id, [(step.event.id, shape(step.effects)) for step in branch.steps], shape(branch.effects))
        for branch in branches
    ]


def test_an_aggregates_events_form_one_branch_although_commands_outside_caused_them() -> None:
    events = [event("1", "job.enqueued", "a", "command"), event("2", "job.started", "a", "claim", 2)]
    assert shape(causes_tree(events)) == [("a", [("1", []), ("2", [])], [])]


def test_an_aggregate_hangs_under_the_event_that_caused_it() -> None:
    events = [
        event("1", "job.enqueued", "a"),
        event("2", "job.started", "a", version=2),
        event("3", "job.enqueued", "b", "2"),
        event("4", "job.completed", "a", version=3),
    ]
    assert shape(causes_tree(events)) == [("a", [("1", []), ("2", [("b", [("3", [])], [])]), ("4", [])], [])]


def test_an_aggregate_caused_by_another_one_as_a_whole_hangs_under_that_one() -> None:
    events = [event("1", "job.enqueued", "a"), event("2", "job.enqueued", "b", "a")]
    assert shape(causes_tree(events)) == [("a", [("1", [])], [("b", [("2", [])], [])])]


def test_causes_that_point_at_each_other_make_no_circle() -> None:
    events = [event("1", "job.enqueued", "a", "2"), event("2", "job.enqueued", "b", "1")]
    assert shape(causes_tree(events)) == [("a", [("1", [("b", [("2", [])], [])])], [])]


def test_an_event_delivered_twice_is_shown_once() -> None:
    events = [event("1", "job.enqueued", "a"), event("1", "job.enqueued", "a")]
    assert shape(causes_tree(events)) == [("a", [("1", [])], [])]


def test_two_kinds_may_share_an_id() -> None:
    events = [event("1", "job.enqueued", "a"), event("2", "progress.created", "a", "1")]
    assert shape(causes_tree(events)) == [("a", [("1", [("a", [("2", [])], [])])], [])]
