"""A page of the tail has no hole, whatever joins it and in whatever order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.postgres.tail import PAGE_BYTES, EventTail, Page
from domain.event import Published
from domain.ports import Metadata, RecordedEvent, StreamName
from tests.controls.clock import NOW

STREAM = StreamName("event", "acme", "a")


def event(position: int) -> RecordedEvent:
    said = Published(STREAM.text, position, NOW, event_type="test.said", payload={})
    return RecordedEvent(position, STREAM, position, f"e-{position}", "test.said", NOW, Metadata("acme"), said)


def events(first: int, last: int) -> list[RecordedEvent]:
    return [event(position) for position in range(first, last + 1)]


def filled(first: int, last: int, **bounds: int) -> EventTail:
    tail = EventTail(**bounds)
    tail.extend(events(first, last), [100] * (last - first + 1))
    return tail


def positions(page: Page | None) -> list[int] | None:
    return None if page is None else [each.position for each in page.events]


def test_a_page_begins_after_the_position_and_has_at_most_the_limit() -> None:
    page = filled(1, 10).page(4, 3)
    assert positions(page) == [5, 6, 7]
    assert page is not None
    assert page.size == 300


@pytest.mark.parametrize("after", [2, 10, 11])
def test_what_is_not_here_is_asked_elsewhere(after: int) -> None:
    assert filled(5, 10).page(after, 3) is None


def test_events_that_follow_are_added_and_those_known_are_not_doubled() -> None:
    tail = filled(5, 10)
    tail.extend(events(8, 12), [100] * 5)
    assert positions(tail.page(4, 100)) == list(range(5, 13))


def test_events_after_a_hole_are_kept_beside_those_before_it() -> None:
    tail = filled(5, 10)
    tail.extend(events(20, 22), [100] * 3)
    assert positions(tail.page(4, 100)) == [5, 6, 7, 8, 9, 10]
    assert tail.page(10, 100) is None
    assert positions(tail.page(19, 100)) == [20, 21, 22]


def test_a_hole_is_as_long_as_what_is_missing_and_closes() -> None:
    tail = filled(5, 10)
    tail.extend(events(20, 22), [100] * 3)
    assert (tail.hole(10), tail.hole(15), tail.hole(22)) == (9, 4, None)
    tail.extend(events(11, 19), [100] * 9)
    assert positions(tail.page(4, 100)) == list(range(5, 23))


def test_what_a_closed_hole_joins_counts_once() -> None:
    tail = EventTail(most_bytes=600)
    for first, last in ((1, 2), (5, 6), (3, 4)):
        tail.extend(events(first, last), [100] * 2)
    assert positions(tail.page(0, 10)) == [1, 2, 3, 4, 5, 6]


def test_single_events_are_found_where_they_are_here() -> None:
    tail = filled(5, 10)
    tail.extend(events(20, 22), [100] * 3)
    found = [tail.event(position) for position in (4, 5, 10, 11, 20, 23)]
    assert [event and event.position for event in found] == [None, 5, 10, None, 20, None]


def test_of_a_page_that_begins_before_all_that_is_here_only_the_rest_is_taken() -> None:
    tail = filled(5, 14, most_events=12)
    tail.extend(events(1, 16), [100] * 16)
    assert tail.page(0, 100) is None
    assert positions(tail.page(4, 100)) == list(range(5, 17))


def test_what_is_older_than_all_that_is_here_is_told_apart_from_a_hole() -> None:
    tail = filled(5, 10)
    assert [tail.begins_after(position) for position in (3, 4, 10, 11)] == [True, False, False, False]
    assert not EventTail().begins_after(0)


def test_older_events_change_nothing() -> None:
    tail = filled(5, 10)
    tail.extend(events(1, 3), [100] * 3)
    assert positions(tail.page(4, 100)) == [5, 6, 7, 8, 9, 10]


def test_it_is_bounded_in_events() -> None:
    tail = filled(1, 1_000, most_events=100)
    assert tail.page(0, 10) is None
    kept = tail.page(999, 10), tail.page(950, 1_000)
    assert positions(kept[0]) == [1_000]
    assert positions(kept[1]) == list(range(951, 1_001))


def test_it_is_bounded_in_bytes_and_keeps_the_newest_event() -> None:
    tail = EventTail(most_bytes=1_000)
    tail.extend(events(1, 3), [10, 10, 5_000])
    assert positions(tail.page(2, 10)) == [3]
    assert tail.page(0, 10) is None


def test_a_page_of_large_events_ends_early_but_has_one() -> None:
    tail = EventTail(most_bytes=10 * PAGE_BYTES)
    tail.extend(events(1, 3), [PAGE_BYTES, PAGE_BYTES, 10])
    assert positions(tail.page(0, 10)) == [1]
    assert positions(tail.page(1, 10)) == [2]
    assert positions(tail.page(2, 10)) == [3]


PIECES = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 15)), max_size=20)


@given(PIECES, st.integers(0, 80), st.integers(1, 40))
def test_a_page_has_no_hole(pieces: list[tuple[int, int]], after: int, limit: int) -> None:
    tail = EventTail(most_events=25)
    for first, count in pieces:
        tail.extend(events(first, first + count - 1), [100] * count)
    page = positions(tail.page(after, limit))
    assert page is None or (page and page == list(range(after + 1, after + 1 + len(page))))


@given(PIECES, st.integers(0, 80))
def test_while_there_is_room_nothing_is_lost_but_what_came_too_late(pieces: list[tuple[int, int]], after: int) -> None:
    tail = EventTail()
    known: set[int] = set()
    for first, count in pieces:
        tail.extend(events(first, first + count - 1), [100] * count)
        oldest = min(known, default=first)
        known |= {position for position in range(first, first + count) if position >= oldest}
    expected = []
    while after + 1 + len(expected) in known:
        expected.append(after + 1 + len(expected))
    assert positions(tail.page(after, 1_000)) == (expected or None)


def size(position: int) -> int:
    return position % 7 * 10


@given(PIECES, st.integers(1, 40), st.integers(0, 1_200))
def test_both_bounds_are_kept_and_what_goes_is_the_oldest(
    pieces: list[tuple[int, int]], most_events: int, most_bytes: int
) -> None:
    tail = EventTail(most_events, most_bytes)
    kept: list[int] = []
    for first, count in pieces:
        there = range(first, first + count)
        tail.extend(events(first, first + count - 1), [size(position) for position in there])
        oldest = kept[0] if kept else first
        wanted = sorted({*kept, *(position for position in there if position >= oldest)})
        kept = [position for position in wanted if tail.event(position)]
        assert kept == wanted[len(wanted) - len(kept) :]
        assert kept
        assert len(kept) <= most_events
        assert sum(map(size, kept)) <= most_bytes or len(kept) == 1
        if len(wanted) <= most_events and sum(map(size, wanted)) <= most_bytes:
            assert kept == wanted
