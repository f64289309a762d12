"""Simulations of pools that serve several tenants: shares and work conservation, whatever comes when."""

from __future__ import annotations

from collections import Counter, deque

from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.testing.pools import Shares

TENANTS = ("a", "b", "c", "d")
weights = st.fixed_dictionaries(dict.fromkeys(TENANTS, st.sampled_from([0.25, 0.5, 1.0, 2.0, 3.0, 8.0])))
# Before each claim jobs come in, so many of each tenant; then it asks for so many.
steps = st.lists(st.tuples(st.lists(st.tuples(st.sampled_from(TENANTS), st.integers(1, 20))), st.integers(1, 9)))


@settings(max_examples=300)
@given(weights, steps)
def test_who_has_jobs_gets_its_share_and_no_slot_stays_empty(
    weighted: dict[str, float], coming: list[tuple[list[tuple[str, int]], int]]
) -> None:
    """Of two tenants that have jobs all along, neither gets ahead by more than one job of each, by weight: the bound of
    start-time fair queueing. It holds over every stretch, so also for those who come back after a quiet time."""
    shares, backlog = Shares(weighted), Counter[str]()
    # What each pair has been granted, by weight, since both have had jobs without a break.
    since: dict[tuple[str, str], list[float]] = {}

    def next_of(tenant: str) -> list[str]:
        if not backlog[tenant]:
            return []
        backlog[tenant] -= 1
        return [tenant]

    for arrived, slots in coming:
        for tenant, number in arrived:
            backlog[tenant] += number
        due = backlog.total()
        taken = [tenant for tenant, _ in shares.take(TENANTS, slots, next_of)]
        assert len(taken) == min(slots, due), "a free slot and a job that may run do not stay beside each other"
        had = Counter(taken)
        for one in TENANTS:
            for other in TENANTS:
                if backlog[one] and backlog[other] and one < other:
                    # They had jobs before this claim, and still have: it counts as a whole.
                    ahead = since.setdefault((one, other), [0.0, 0.0, 0.0])
                    ahead[0] += had[one] / weighted[one] - had[other] / weighted[other]
                    ahead[1], ahead[2] = min(ahead[:2]), max(ahead[0], ahead[2])
                    bound = 1 / weighted[one] + 1 / weighted[other]
                    assert ahead[2] - ahead[1] <= bound + 1e-9
                else:
                    since.pop((one, other), None)


def test_a_tenant_that_floods_the_pool_costs_the_others_nothing() -> None:
    """A hundred thousand jobs of one tenant, one of another: the one is next."""
    shares, flood, quiet = Shares({}), deque(range(100_000)), deque[int]()

    def next_of(tenant: str) -> list[int]:
        queue = flood if tenant == "a" else quiet
        return [queue.popleft()] if queue else []

    assert len(shares.take(TENANTS, 50_000, next_of)) == 50_000
    quiet.append(1)
    assert ("b", 1) in shares.take(TENANTS, 2, next_of)
