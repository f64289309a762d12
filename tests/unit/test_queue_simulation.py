"""Simulations of the orders and limits: bounds that hold whatever comes and however long it takes."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.contracts.queue import Limit, QueueConfigured, Rate
from millrace.testing.job_state import JobState
from millrace.testing.queue_state import QueueState
from millrace.testing.work import Lanes

START = datetime(2030, 1, 1, tzinfo=UTC)
AGING = 10.0

priorities = st.integers(-100, 100)
# Seconds until the next one arrives, its priority, and seconds that it runs.
arrivals = st.lists(st.tuples(st.floats(0, 60), priorities, st.floats(0.1, 100)), min_size=1, max_size=60)


def seconds(number: float) -> datetime:
    return START + timedelta(seconds=number)


def lanes(**rules: Any) -> Lanes:
    queue = QueueState("default")
    queue.apply(QueueConfigured(**rules), START, 1)
    made = Lanes()
    made.rule(queue, START)
    return made


def job(number: int, at: datetime, **values: Any) -> JobState:
    return JobState(str(number), position=number + 1, created_at=at, **values)


@settings(max_examples=200)
@given(arrivals)
def test_with_aging_nobody_waits_for_jobs_that_came_later_than_the_bound(
    coming: list[tuple[float, int, float]],
) -> None:
    """One server, any arrivals, any running times. A job is passed by only by jobs that came before it, or within
    (their priority - its own) x aging after it; so 200 x aging bounds what can ever get ahead of it."""
    waiting = lanes(order="aging", aging=AGING)
    clock, arrived, due = 0.0, [], 0.0
    for number, (gap, priority, runs) in enumerate(coming):
        due += gap
        arrived.append((due, priority, runs, number))
    left = list(arrived)
    order: list[int] = []
    while left or len(order) < len(arrived):
        while left and left[0][0] <= clock:
            at, priority, _, number = left.pop(0)
            waiting.place(job(number, seconds(at), priority=priority), seconds(at))
        taken = waiting.take(None, 1, seconds(clock))
        if taken:
            order.append(int(taken[0].id))
            clock += arrived[order[-1]][2]
        else:
            # Nothing is ready: the server is never idle while something is.
            assert left
            clock = max(clock, left[0][0])
    begun = {number: place for place, number in enumerate(order)}
    for mine in arrived:
        for other in arrived:
            ahead = begun[other[3]] < begun[mine[3]]
            worth = (other[1] - mine[1]) * AGING
            assert not ahead or other[0] <= mine[0] + worth + 1e-3 or other[0] <= mine[0]
            assert not ahead or other[0] - mine[0] <= 200 * AGING


def test_strictly_a_stream_of_better_jobs_keeps_a_job_back_for_ever() -> None:
    """What the bound is good for: without aging there is none."""
    waiting = lanes(order="strict")
    waiting.place(job(0, START, priority=-100), START)
    for number in range(1, 5_000):
        waiting.place(job(number, seconds(number), priority=100), seconds(number))
        assert waiting.take(None, 1, seconds(number))[0].id != "0"


weights = st.dictionaries(st.sampled_from("abcde"), st.sampled_from([0.5, 1.0, 2.0, 3.0]), min_size=2)


@settings(max_examples=200)
@given(weights, st.permutations("abcde"))
def test_keys_that_always_have_work_get_shares_after_their_weights(shares: dict[str, float], turn: list[str]) -> None:
    """However they arrived: in every stretch from the beginning, two keys differ by no more than one job of each."""
    waiting = lanes(order="fair", weights=shares)
    keys = [key for key in turn if key in shares]
    number = 0
    for key in keys:
        for _ in range(120):
            waiting.place(job(number, START, key=key), START)
            number += 1
    served: Counter[str] = Counter()
    for _ in range(100):
        (one,) = waiting.take(None, 1, START)
        served[str(one.key)] += 1
        for key in keys:
            for other in keys:
                gap = served[key] / shares[key] - served[other] / shares[other]
                assert gap <= 1 / shares[key] + 1 / shares[other] + 1e-9


@settings(max_examples=100)
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=50))
def test_sharing_leaves_no_server_idle(keys: list[str]) -> None:
    waiting = lanes(order="fair", weights={"a": 100.0})
    for number, key in enumerate(keys):
        waiting.place(job(number, START, key=key), START)
    assert len(waiting.take(None, len(keys), START)) == len(keys)


def test_a_key_that_was_away_does_not_catch_up_on_what_it_did_not_ask_for() -> None:
    waiting = lanes(order="fair")
    for number in range(100):
        waiting.place(job(number, START, key="a"), START)
    waiting.take(None, 50, START)
    for number in range(100, 150):
        waiting.place(job(number, START, key="b"), START)
    served = Counter(str(one.key) for one in waiting.take(None, 40, START))
    assert served == {"a": 20, "b": 20}


@settings(max_examples=100)
@given(st.integers(1, 20), st.integers(1, 5), st.lists(st.floats(0, 2), min_size=1, max_size=60))
def test_starts_never_exceed_burst_and_rate_in_any_window(limit: int, burst: int, gaps: list[float]) -> None:
    waiting = lanes(rate=Rate(limit=limit, period=1.0, burst=burst))
    for number in range(200):
        waiting.place(job(number, START), START)
    at, starts = 0.0, []
    for gap in gaps:
        at += gap
        starts += [at] * len(waiting.take(None, 50, seconds(at)))
    for first in range(len(starts)):
        for last in range(first, len(starts)):
            assert last - first + 1 <= burst + (starts[last] - starts[first]) * limit + 1e-3


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["x", "y", None]), priorities), max_size=40),
    st.lists(st.booleans(), max_size=80),
)
def test_caps_hold_and_no_slot_stays_empty_while_somebody_could_use_it(
    wishes: list[tuple[str, str | None, int]], steps: list[bool]
) -> None:
    waiting = lanes(concurrency=4, per_name={"a": Limit(concurrency=2)}, per_key=Limit(concurrency=1))
    for number, (name, key, priority) in enumerate(wishes):
        waiting.place(job(number, START, name=name, key=key, priority=priority), START)
    left, running = {str(n): wish for n, wish in enumerate(wishes)}, list[JobState]()
    for start in steps:
        if start:
            for one in waiting.take(None, 1, START):
                one.status = "processing"
                running.append(one)
                del left[one.id]
        elif running:
            ended = running.pop(0)
            ended.status = "completed"
            waiting.place(ended, START)
        names, keys = Counter(one.name for one in running), Counter(one.key for one in running if one.key)
        assert len(running) <= 4
        assert names["a"] <= 2
        assert all(count <= 1 for count in keys.values())
    if len(running) < 4 and not waiting.take(None, 1, START):
        for name, key, _ in left.values():
            assert (name == "a" and names_full(running)) or key in {one.key for one in running if one.key}


def names_full(running: list[JobState]) -> bool:
    return sum(one.name == "a" for one in running) >= 2
