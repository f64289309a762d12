"""Whatever order updates come in, twice or late: a progress never falls, and comes to the same end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from domain.progress import Progress
from domain.progress_children import hear_child, share_of
from domain.progress_samples import Window, weigh
from tests.controls.clock import NOW

STREAM = "progress:acme:p-1"
NAMES = ("upload", "transcribe", "index")
OPTIONS: dict[str, Any] = {
    "parent_id": None, "weight": 1.0, "type": None, "metadata": {}, "user_id": None, "children": None,
    "stall_after": None,
}  # fmt: skip
PERCENT = st.one_of(st.sampled_from([0.0, 50.0, 100.0]), st.floats(0, 100))
UPDATES = st.lists(st.tuples(PERCENT, st.sampled_from([None, *NAMES]), st.floats(0, 3)), max_size=40)
WINDOWS = st.builds(Window, st.sampled_from([None, 0.5, 1.0]), st.sampled_from([None, 1.0, 10.0]))
WEIGHTS = st.lists(st.floats(0.01, 100), min_size=3, max_size=3)


def begun(weights: list[float]) -> Progress:
    stages = [{"name": name, "weight": weight} for name, weight in zip(NAMES, weights, strict=True)]
    return Progress.create(STREAM, NOW, stages=stages, **OPTIONS)


@given(WEIGHTS, UPDATES, WINDOWS)
def test_no_order_of_updates_lowers_what_is_recorded(
    weights: list[float], updates: list[tuple[float, str | None, float]], window: Window
) -> None:
    progress, now, recorded = begun(weights), NOW, [0.0]
    progress.collected()
    for percent, stage, passed in updates:
        now += timedelta(seconds=passed)
        reached = progress.reach(percent, stage)
        assert reached.progress >= progress.progress
        if weigh(progress, reached, now, window) == "recorded":
            progress.update(reached, None, now)
    for event in progress.collected():
        recorded.append(vars(event)["progress"])
    assert recorded == sorted(recorded)
    assert recorded[-1] <= 100.0


@given(WEIGHTS, st.lists(st.tuples(PERCENT, st.sampled_from(NAMES)), min_size=1, max_size=15), st.randoms())
def test_the_end_does_not_depend_on_order_or_repetition(
    weights: list[float], updates: list[tuple[float, str]], random: Any
) -> None:
    def told(order: list[tuple[float, str]]) -> tuple[str | None, float | None]:
        progress = begun(weights)
        for percent, stage in order:
            reached = progress.reach(percent, stage)
            if reached.news:
                progress.update(reached, None, NOW)
        return progress.stage, progress.to_wire()["stage_progress"]

    shuffled = [*updates, *updates]
    random.shuffle(shuffled)
    assert told(shuffled) == told(updates) == told(sorted(updates, key=lambda each: NAMES.index(each[1])))


STATUSES = st.sampled_from(["pending", "processing", "completed", "failed", "cancelled"])
REPORTS = st.lists(
    st.tuples(st.sampled_from("abcd"), STATUSES, PERCENT, st.integers(1, 20), st.floats(0.1, 10)), max_size=30
)


@given(REPORTS, st.sampled_from(["mean", "count"]), st.sampled_from([None, 2, 4]))
def test_a_whole_never_falls_and_never_shows_more_than_its_parts_once_had(
    reports: list[tuple[str, str, float, int, float]], mode: str, expected: int | None
) -> None:
    rule = {"mode": mode, "expected": expected}
    whole = Progress.create(STREAM, NOW, stages=[], **{**OPTIONS, "children": rule})
    highest = 0.0
    for child, status, percent, version, weight in reports:
        before = whole.progress
        hear_child(whole, child, weight, status, percent, version, NOW)
        highest = max(highest, share_of(whole.children, rule) if whole.children else 0.0)
        assert before <= whole.progress
        assert whole.status == "completed" or whole.progress == highest
