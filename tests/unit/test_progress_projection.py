"""The fold of the `progress` read model says what the aggregate says, whatever has happened."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from eventsourcing.persistence import StoredEvent

from adapters.postgres.mapper import EventMapper
from domain.aggregate import Event
from domain.ports import Metadata, RecordedEvent, StreamName
from domain.progress import KIND, Progress
from projections.progress import ProgressProjection, _Page
from projections.progress_schema import CREATE
from tests.controls.clock import NOW
from tests.controls.declared import recorded_streams

NAME = StreamName(KIND, "acme", "p-17")
COLUMNS = [
    line.split()[0] for line in CREATE.partition("(\n")[2].partition("PRIMARY KEY")[0].splitlines() if line.strip()
]
SHARED = (
    "status", "progress", "stage", "stage_progress", "error", "rate", "stall_after", "stalled_at", "started_at",
    "updated_at", "completed_at", "failed_at", "cancelled_at",
)  # fmt: skip
STREAMS = [stream for stream in recorded_streams() if stream["kind"] == KIND]


def life(stream: dict[str, Any]) -> list[RecordedEvent]:
    mapper = EventMapper()
    events: list[Event] = [
        mapper.to_domain_event(StoredEvent(stream["stream"], row["version"], row["topic"], row["state"].encode()))
        for row in stream["events"]
    ]
    return [
        RecordedEvent(30 + e.originator_version, NAME, e.originator_version, "e", e.TOPIC, NOW, Metadata("acme"), e)
        for e in events
    ]


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream["stream"])
def test_the_rows_agree_with_the_aggregate_after_each_event(stream: dict[str, Any]) -> None:
    projection, page, events = ProgressProjection(), _Page(), life(stream)
    for count, recorded in enumerate(events, 1):
        projection._fold(page, recorded)
        projection._fold(page, recorded)
        told = Progress.replayed(life(stream)[n].event for n in range(count))
        assert told is not None
        state = told.to_wire()
        if state["removed"]:
            assert (page.rows(), page.removed) == ([[], [], [], []], {("acme", "p-17")})
            return
        [[row], changed, stages, children] = page.rows()
        shown = dict(zip(COLUMNS, row, strict=True))
        assert {name: shown[name] for name in SHARED} == {name: state[name] for name in SHARED}
        assert (shown["version"], changed) == (count, [])
        assert len(children) == (0 if told.rule is None or "total" in told.rule else len(told.children))
        for (*_, name, weight, status, percent, started, completed), stage in zip(
            stages, state["stages"] or (), strict=True
        ):
            assert (name, weight, status, percent) == tuple(
                stage[each] for each in ("name", "weight", "status", "progress")
            )
            times = (started and started.isoformat(), completed and completed.isoformat())
            assert times == (stage["started_at"], stage["completed_at"])
            assert started is None or isinstance(started, datetime)


def test_what_was_removed_and_came_back_is_a_row_without_its_past() -> None:
    projection, page = ProgressProjection(), _Page()
    past = life(STREAMS[1])
    for recorded in past:
        projection._fold(page, recorded)
    first = past[0].event
    again = type(first)(**{**vars(first), "originator_version": len(past) + 1})
    projection._fold(page, past[0]._replace(version=len(past) + 1, event=again))
    [[row], _, _, children] = page.rows()
    shown = dict(zip(COLUMNS, row, strict=True))
    assert (shown["version"], shown["status"], children) == (len(past) + 1, "pending", [])
    assert page.removed == {("acme", "p-17")}


def test_of_the_stages_only_those_are_written_that_have_changed() -> None:
    projection, page, events = ProgressProjection(), _Page(), life(STREAMS[0])
    for recorded in events[:2]:
        projection._fold(page, recorded)
    assert len(page.rows()[2]) == 2
    projection._let_go(page)
    page = _Page()
    projection._fold(page, events[2])
    [added, [row], [stage], _] = page.rows()
    assert (added, stage[3], stage[6]) == ([], "upload", 80.0)
    assert row[0:2] == ("acme", "p-17")
