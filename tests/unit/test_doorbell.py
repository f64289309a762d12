"""Who follows the log is woken by a ring, and lets a burst of commands pass first, but not for ever."""

from __future__ import annotations

import asyncio
from typing import Any

from adapters.postgres.doorbell import PostgresDoorbell
from adapters.postgres.followers import ANSWER_TURNS, MOST_BEHIND


async def no_connection() -> Any:
    raise AssertionError("nobody connects here")


def doorbell(*bursts: bool, then: bool = False) -> PostgresDoorbell:
    answers = iter(bursts)
    return PostgresDoorbell(no_connection, lambda: None, lambda: next(answers, then))


async def test_a_ring_wakes_who_waits() -> None:
    bell = doorbell()
    waiting = asyncio.create_task(bell.wait(0, 30))
    await asyncio.sleep(0)
    bell.ring(7, {"job"}, awaited=True)
    assert await asyncio.wait_for(waiting, 20) == 7


async def test_who_is_behind_does_not_wait() -> None:
    bell = doorbell()
    bell.ring(7, {"job"}, awaited=True)
    assert await asyncio.wait_for(bell.wait(3, 30), 20) == 7


async def test_a_burst_passes_first() -> None:
    looks: list[bool] = []

    def in_burst() -> bool:
        looks.append(len(looks) < 3)
        return looks[-1]

    bell = PostgresDoorbell(no_connection, lambda: None, in_burst)
    bell.ring(7, {"job"}, awaited=True)
    assert await asyncio.wait_for(bell.wait(0, 30), 20) == 7
    assert looks == [True, True, True, False]


async def test_a_burst_without_end_is_not_waited_for_without_end() -> None:
    bell = doorbell(then=True)
    bell.ring(7, {"job"}, awaited=True)
    assert await asyncio.wait_for(bell.wait(0, 30), 20) == 7
    # now it is the followers' turn
    assert await asyncio.wait_for(bell.wait(0, 30), 20) == 7


async def test_nothing_new_ends_with_the_time_out() -> None:
    assert await asyncio.wait_for(doorbell().wait(0, 0.01), 20) == 0


async def test_who_waits_for_other_kinds_is_not_woken_but_comes_back_soon() -> None:
    bell = doorbell()
    concerned = asyncio.create_task(bell.wait(0, 30, {"job"}, patience=30))
    others = asyncio.create_task(bell.wait(0, 30, {"progress"}, patience=30))
    soon = asyncio.create_task(bell.wait(0, 30, {"progress"}, patience=0.01))
    await asyncio.sleep(0)
    bell.ring(7, {"job"}, awaited=True)
    assert await asyncio.wait_for(concerned, 20) == 7
    assert await asyncio.wait_for(soon, 20) == 7
    assert not others.done()
    bell.ring(8, {"progress", "job"}, awaited=True)
    assert await asyncio.wait_for(others, 20) == 8


async def test_whose_kinds_came_before_he_waited_does_not_wait() -> None:
    bell = doorbell()
    bell.ring(7, {"progress"}, awaited=True)
    bell.ring(9, {"job"}, awaited=True)
    assert await asyncio.wait_for(bell.wait(6, 30, {"progress"}, patience=30), 20) == 9
    assert await asyncio.wait_for(bell.wait(7, 0.01, {"progress"}, patience=30), 20) == 9


async def test_who_is_far_behind_comes_back_whatever_the_events_are() -> None:
    bell = doorbell()
    waiting = asyncio.create_task(bell.wait(0, 30, {"progress"}, patience=30))
    await asyncio.sleep(0)
    bell.ring(MOST_BEHIND - 1, {"job"}, awaited=True)
    for _ in range(2 * ANSWER_TURNS):
        await asyncio.sleep(0)
    assert not waiting.done()
    bell.ring(MOST_BEHIND, {"job"}, awaited=True)
    assert await asyncio.wait_for(waiting, 20) == MOST_BEHIND
    assert await asyncio.wait_for(bell.wait(0, 30, {"progress"}, patience=30), 20) == MOST_BEHIND


async def turns_until_woken(awaited: bool) -> int:
    bell = doorbell()
    waiting = asyncio.create_task(bell.wait(0, 30))
    await asyncio.sleep(0)
    bell.ring(7, {"job"}, awaited)
    turns = 0
    while not waiting.done() and turns < 100:
        await asyncio.sleep(0)
        turns += 1
    assert waiting.done()
    return turns


async def test_followers_come_after_an_answer_that_somebody_waits_for() -> None:
    assert await turns_until_woken(awaited=False) < ANSWER_TURNS < await turns_until_woken(awaited=True)
