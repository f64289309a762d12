"""Jobs of one call that name each other: their order, and what is wrong with them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.contracts.siblings import Item, SiblingProblem, Siblings, name_siblings


def siblings(*bodies: object) -> Siblings:
    return Siblings([Item(body, f"m/{n}", f"job-{n}") for n, body in enumerate(bodies)])


def order(found: Siblings) -> list[int]:
    return [index for generation in found.generations for index in generation]


def test_a_call_without_references_is_left_alone() -> None:
    assert not name_siblings([{"name": "n"}, {"name": "m", "after": ["0190-a"]}, "junk", {"after": 7}])
    assert name_siblings([{"name": "n"}, {"name": "m", "after": "#0"}])
    assert name_siblings([{"name": "n", "ref": "a"}])


def test_parents_come_first_and_references_become_jobs() -> None:
    found = siblings({"after": ["#b", "other"]}, {"ref": "b", "after": "#m/2"}, {})
    assert found.generations == [[2, 1, 0]]
    assert found.body(0, {}) == {"after": ["job-1", "other"]}
    assert found.body(1, {2: "holder"}) == {"ref": "b", "after": ["holder"]}


def test_a_parent_with_a_unique_key_is_answered_before_its_children_go() -> None:
    assert siblings({"unique": True}, {"after": "#0"}, {}, {"after": "#1"}).generations == [[0, 2], [1, 3]]


def test_bodies_that_are_none_are_left_to_validation() -> None:
    found = siblings("junk", {"after": 3}, {"after": ["#0", 4]})
    assert found.body(2, {}) == {"after": ["job-0", 4]}


@pytest.mark.parametrize(
    ("bodies", "code", "text"),
    [
        ([{"after": "#0"}], "dependency-cycle", "#0 -> #0"),
        ([{"ref": "a", "after": "#b"}, {"ref": "b", "after": "#a"}, {"after": "#a"}], "dependency-cycle", "#a"),
        ([{"after": "#3"}], "unknown-ref", "#3"),
        ([{"ref": "a"}, {"ref": "a"}], "invalid", "items 0 and 1"),
    ],
)
def test_what_does_not_fit_together_is_refused(bodies: list[object], code: str, text: str) -> None:
    with pytest.raises(SiblingProblem, match=text) as refused:
        siblings(*bodies)
    assert refused.value.code == code


def test_a_circle_is_told_in_the_order_in_which_its_jobs_would_run() -> None:
    with pytest.raises(SiblingProblem) as refused:
        siblings(
            {"ref": "a"},
            {"ref": "b", "after": ["#a", "#d"]},
            {"ref": "c", "after": "#b"},
            {"ref": "d", "after": "#c"},
        )
    names = refused.value.extra["cycle"]
    after = {"#b": "#d", "#c": "#b", "#d": "#c"}
    assert len(names) == 4
    assert all(after[child] == parent for parent, child in pairwise(names))


def test_ten_thousand_in_a_row_need_one_generation() -> None:
    chain: list[dict[str, Any]] = [{}, *({"after": f"#{n}"} for n in range(9_999))]
    assert siblings(*chain).generations == [list(range(10_000))]


@given(st.integers(1, 30).flatmap(lambda n: st.lists(st.sets(st.integers(0, n - 1)), min_size=n, max_size=n)))
def test_every_graph_is_ordered_or_has_a_circle(parents: list[set[int]]) -> None:
    bodies = [{"after": [f"#{p}" for p in sorted(each)]} for each in parents]
    try:
        places = {index: place for place, index in enumerate(order(siblings(*bodies)))}
    except SiblingProblem as error:
        circle = [int(name[1:]) for name in error.extra["cycle"]]
        assert all(parent in parents[child] for parent, child in pairwise(circle))
    else:
        assert len(places) == len(parents)
        assert all(places[parent] < places[child] for child, each in enumerate(parents) for parent in each)
