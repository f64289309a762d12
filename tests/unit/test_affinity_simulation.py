"""Simulations of jobs that prefer a worker: nobody starves, no job waits past its bound, and caches stay warm."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.testing.affinity import Claimant
from millrace.testing.job_state import JobState
from millrace.testing.work import Lanes

START = datetime(2026, 1, 1, tzinfo=UTC)
BOUND = 3.0
WORKERS = ("a", "b", "c")
# Seconds until the next claim, who claims for how many, the keys of the jobs that have come, and who is gone by then.
steps = st.lists(
    st.tuples(
        st.floats(0, 2),
        st.sampled_from(WORKERS),
        st.integers(1, 4),
        st.lists(st.sampled_from("xyz"), max_size=3),
        st.sets(st.sampled_from(WORKERS), max_size=2),
    ),
    max_size=60,
)


def seconds(number: float) -> datetime:
    return START + timedelta(seconds=number)


def job(number: int, key: str) -> JobState:
    return JobState(str(number), position=number + 1, created_at=START, key=key, affinity=BOUND, status="pending")


@settings(max_examples=300)
@given(steps)
def test_no_job_is_kept_from_a_claim_for_longer_than_its_bound(
    coming: list[tuple[float, str, int, list[str], set[str]]],
) -> None:
    lanes, clock, number = Lanes(), 0.0, 0
    waiting: dict[str, float | None] = {}
    for gap, worker, slots, keys, gone in coming:
        clock += gap
        for key in keys:
            lanes.place(job(number, key), seconds(clock))
            waiting[str(number)] = None
            number += 1
        claimant = Claimant(worker, slots, lambda name, gone=gone: name not in gone)  # type: ignore[misc]
        taken = lanes.take(None, slots, seconds(clock), claimant)
        for one in taken:
            del waiting[one.id]
            # Over in a moment: each claim finds its worker with all of its room.
            one.status = "completed"
            lanes.place(one, seconds(clock))
        if len(taken) < slots:
            for left, since in waiting.items():
                waiting[left] = since if since is not None else clock
                assert clock - (since if since is not None else clock) < BOUND + 1e-6


def test_keys_stay_with_their_workers_while_there_is_room() -> None:
    """Three workers, nine keys, claims in a random order: without affinity two of three jobs would meet a cold one."""
    chance, lanes, number = random.Random(7), Lanes(), 0
    last: dict[str, str] = {}
    met = Counter[bool]()
    for clock in range(600):
        for _ in range(3):
            lanes.place(job(number, chance.choice("abcdefghi")), seconds(clock))
            number += 1
        for worker in chance.sample(WORKERS, 3):
            for one in lanes.take(None, 4, seconds(clock), Claimant(worker, 4, lambda _: True)):
                assert one.key is not None
                if one.key in last:
                    met[last[one.key] == worker] += 1
                last[one.key] = worker
                one.status = "completed"
                lanes.place(one, seconds(clock))
    assert met.total() > 1_700
    assert met[False] < met.total() / 20
