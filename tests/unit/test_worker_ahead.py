"""A worker claims ahead while its handlers are short, within bounds, and stops when it was wrong."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from millrace.worker_ahead import AHEAD_SECONDS, MOST_TIMES, Ahead


def after(*durations: float, concurrency: int = 10) -> Ahead:
    ahead = Ahead(concurrency)
    for seconds in durations:
        ahead.ended(seconds)
    return ahead


def test_nothing_is_claimed_ahead_before_a_handler_has_shown_to_be_short() -> None:
    assert after().capacity() == 10


def test_short_handlers_are_claimed_ahead_up_to_a_bound() -> None:
    assert after(*[0.0001] * 500).capacity() == 10 * MOST_TIMES


def test_long_handlers_are_not() -> None:
    assert after(*[2 * AHEAD_SECONDS] * 500).capacity() == 10


def test_what_waited_in_vain_ends_it_until_handlers_are_short_again() -> None:
    ahead = after(*[0.0001] * 500)
    ahead.misjudged()
    assert ahead.capacity() == 10
    for _ in range(500):
        ahead.ended(0.0001)
    assert ahead.capacity() == 10 * MOST_TIMES


@given(st.integers(1, 1_000), st.lists(st.floats(0, 1e6), max_size=50))
def test_the_capacity_stays_between_what_runs_at_once_and_the_bound(concurrency: int, durations: list[float]) -> None:
    assert concurrency <= after(*durations, concurrency=concurrency).capacity() <= concurrency * MOST_TIMES
