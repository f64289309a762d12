"""Labels of metrics stay few, whatever names come from outside."""

from __future__ import annotations

from adapters.metrics import OTHER, Lanes


def test_the_largest_queues_have_labels_of_their_own_and_the_rest_is_one() -> None:
    lanes = Lanes({("acme", "a"): 5, ("acme", "b"): 9, ("zeta", "a"): 1}, most=2)
    assert lanes.labels("acme", "a") == ("acme", "a")
    assert lanes.labels("acme", "b") == ("acme", "b")
    assert lanes.labels("zeta", "a") == (OTHER, OTHER)
    assert lanes.labels("nobody", "nothing") == (OTHER, OTHER)


def test_queues_of_one_size_are_chosen_by_name() -> None:
    sizes = {("acme", name): 1 for name in "cab"}
    assert [Lanes(sizes, most=1).labels("acme", name)[1] for name in "abc"] == ["a", OTHER, OTHER]
