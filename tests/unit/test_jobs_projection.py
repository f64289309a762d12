"""The fold of the `jobs` read model says what the aggregate says, whatever has happened."""

from __future__ import annotations

from typing import Any

import pytest
from eventsourcing.persistence import StoredEvent

from adapters.postgres.mapper import EventMapper
from domain.aggregate import Event, Unreadable
from domain.errors import UnreadableHistory
from domain.job import Job
from domain.ports import Metadata, RecordedEvent, StreamName
from projections.jobs import JobsProjection
from projections.jobs_page import Page
from projections.projection import events_of
from tests.controls.clock import NOW
from tests.controls.declared import recorded_streams
from tests.controls.jobs import cancelled, completed, dead_lettered, enqueued, failed, scheduled, started

NAME = StreamName("job", "acme", "11")
SHARED = ("status", "attempts", "max_attempts", "run_at", "started_at", "completed_at", "failed_at", "worker")
LIVES: list[tuple[Event, ...]] = [
    (enqueued(), started(2), completed(3)),
    (enqueued(), started(2), failed(3), scheduled(4, 1, NOW, NOW), started(5, 2), completed(6, 2)),
    (enqueued(run_at=NOW), cancelled(2)),
    (enqueued(), started(2), cancelled(3)),
    dead_lettered(),
]


def recorded(events: tuple[Event, ...]) -> list[RecordedEvent]:
    return [
        RecordedEvent(30 + e.originator_version, NAME, e.originator_version, "e", e.TOPIC, NOW, Metadata("acme"), e)
        for e in events
    ]


def from_corpus() -> tuple[Event, ...]:
    mapper, stream = EventMapper(), recorded_streams()[0]
    rows = stream["events"][:-1]
    return tuple(
        mapper.to_domain_event(StoredEvent(stream["stream"], row["version"], row["topic"], row["state"].encode()))
        for row in rows
    )


@pytest.mark.parametrize("life", [*LIVES, from_corpus()])
def test_the_row_agrees_with_the_aggregate_after_each_event(life: tuple[Event, ...]) -> None:
    projection, page = JobsProjection(), Page()
    for count, event in enumerate(recorded(life), 1):
        projection._fold(page, event)
        row = page.touched[event.event.originator_id]
        state: dict[str, Any] = Job.replayed(life[:count]).to_wire()  # type: ignore[union-attr]
        assert {name: getattr(row, name) for name in SHARED} == {name: state[name] for name in SHARED}
        assert row.version == count
        assert {key: n for key, n in page.counts.items() if n} == {("acme", "media", row.status): 1}


def test_an_event_seen_before_changes_nothing() -> None:
    projection, page = JobsProjection(), Page()
    for event in recorded(LIVES[0]):
        projection._fold(page, event)
        for again in recorded(LIVES[0][1 : event.version]):
            projection._fold(page, again)
    (row,) = page.touched.values()
    assert row.attempts == 1
    assert page.counts["acme", "media", "completed"] == 1


def test_an_unreadable_event_is_refused_and_those_of_other_kinds_are_none_of_its_business() -> None:
    broken = Unreadable("job:acme:11", 2, NOW, topic="job.evaporated", error="nobody declared it")
    events = recorded((enqueued(), broken))
    with pytest.raises(UnreadableHistory, match=r"event 2 of job:acme:11 \(job.evaporated\)"):
        events_of("job", events)
    assert events_of("subscription", events) == []
