"""No progress becomes a part of itself, whoever creates it, in however many processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest

from domain.progress_children import MOST_WHOLES
from infra.bootstrap import System
from millrace.contracts.wire import Accepted, Refused
from tests.support.systems import batch, context, executed, refused, system, told

PARENTS = "SELECT id, parent_id FROM progress_parents WHERE tenant = 'acme'"


@pytest.fixture
async def running(fresh_database_url: str) -> AsyncIterator[System]:
    async with system(fresh_database_url) as running:
        yield running


async def created(running: System, id: str, parent: str | None, message_id: str | None = None) -> Accepted | Refused:
    body: dict[str, Any] = {"id": id, "children": "mean"} | ({} if parent is None else {"parent_id": parent})
    reply = await executed(running, "progress.create", body, context(message_id))
    assert isinstance(reply, Accepted | Refused)
    return reply


def ring_of(reply: Accepted | Refused) -> list[str]:
    assert isinstance(reply, Refused)
    assert (reply.problem.code, reply.problem.status) == ("progress-ring", 422)
    ring: list[str] = reply.problem.model_dump()["ring"]
    return ring


async def parents(running: System) -> dict[str, str]:
    return {row["id"]: row["parent_id"] for row in await running.storage.pool.fetch(PARENTS)}


async def test_the_answer_names_the_ring_and_is_remembered(running: System) -> None:
    await told(running, "progress.create", {"id": "a", "parent_id": "b"})
    await told(running, "progress.create", {"id": "b", "parent_id": "c"})
    for _ in range(2):
        reply = await created(running, "c", "a", "m-ring")
        assert ring_of(reply) == ["c", "a", "b", "c"]
        assert isinstance(reply, Refused)
        assert "c → a → b → c" in str(reply.problem.detail)
    await told(running, "progress.create", {"id": "c"})
    await told(running, "progress.create", {"id": "c", "parent_id": "a"}, tenant="other")


async def test_of_two_processes_that_close_a_ring_at_once_one_is_refused(fresh_database_url: str) -> None:
    async with system(fresh_database_url) as first, system(fresh_database_url, ["api"]) as second:
        for n in range(25):
            replies = await asyncio.gather(
                created(first, f"a-{n}", f"b-{n}"), created(second, f"b-{n}", f"a-{n}"), return_exceptions=False
            )
            assert sorted(isinstance(reply, Refused) for reply in replies) == [False, True]
            ring = ring_of(next(reply for reply in replies if isinstance(reply, Refused)))
            assert sorted(set(ring)) == [f"a-{n}", f"b-{n}"]
        assert len(await parents(first)) == 25


async def test_a_ring_over_many_processes_stays_open_somewhere(fresh_database_url: str) -> None:
    async with (
        system(fresh_database_url) as one,
        system(fresh_database_url, ["api"]) as two,
        system(fresh_database_url, ["api"]) as three,
    ):
        for turn in range(10):
            names = [f"{turn}-{n}" for n in range(6)]
            replies = await asyncio.gather(
                *(
                    created((one, two, three)[n % 3], name, names[(n + 1) % 6], f"m-{name}")
                    for n, name in enumerate(names)
                )
            )
            assert [type(reply) for reply in replies].count(Refused) == 1
            ring = ring_of(next(reply for reply in replies if isinstance(reply, Refused)))
            assert (sorted(set(ring)), ring[0]) == (names, ring[-1])


async def test_in_one_batch_what_comes_later_stands_on_what_came_before(running: System) -> None:
    bodies = [{"id": "a", "parent_id": "b"}, {"id": "b", "parent_id": "c"}, {"id": "c", "parent_id": "a"}, {"id": "d"}]
    answers = await batch(running, "progress.create", bodies)
    assert [isinstance(answer, Refused) for answer in answers] == [False, False, True, False]
    assert await parents(running) == {"a": "b", "b": "c"}


async def test_what_was_removed_is_no_part_any_more(running: System) -> None:
    await told(running, "progress.create", {"id": "a", "parent_id": "b"})
    await told(running, "progress.remove", {"progress_id": "a"})
    assert await parents(running) == {}
    await told(running, "progress.create", {"id": "b", "parent_id": "a"})
    assert ring_of(await created(running, "a", "b")) == ["a", "b", "a"]
    await told(running, "progress.create", {"id": "a"})
    assert await parents(running) == {"b": "a"}


async def test_wholes_lie_in_each_other_to_a_bounded_depth(running: System) -> None:
    names = [f"p-{n}" for n in range(MOST_WHOLES + 2)]
    chain = [{"id": name, "parent_id": above} for above, name in pairwise(names)]
    answers = await batch(running, "progress.create", chain)
    assert [isinstance(answer, Refused) for answer in answers] == [False] * MOST_WHOLES + [True]
    assert await refused(running, "progress.create", {"id": "x", "parent_id": names[-2]}) == "invalid"
    await told(running, "progress.create", {"id": "x", "parent_id": names[-3]})
