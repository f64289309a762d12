"""What an append comes to: stored, a conflict, a duplicate; alone and beside others in one flush."""

from __future__ import annotations

import asyncio

import pytest

from adapters.contracts.event_store import EventStoreContract, dense, versions
from domain.ports import Appended, Conflict, Duplicate, EventStore, Rejected, StoreOverloaded, StoreUnavailable
from infra.storage import Storage
from tests.support.stores import append, storing


class TestEventStore(EventStoreContract):
    """What every event store does."""

    @pytest.fixture
    def store(self, storage: Storage) -> EventStore:
        return storage.store


async def test_a_command_id_at_two_writers_at_once_has_one_effect(dsn: str, storage: Storage) -> None:
    async with storing(dsn) as other:
        for turn in range(10):
            outcomes = await asyncio.gather(
                *(
                    one.store.append([append(f"s-{turn}-{n}", command=f"m-{turn}")])
                    for n, one in enumerate([storage, other] * 5)
                )
            )
            assert sum(isinstance(outcome, Appended) for (outcome,) in outcomes) == 1
            assert sum(isinstance(outcome, Duplicate) for (outcome,) in outcomes) == 9
    assert await storage.store.head() == 10


async def test_one_of_many_appends_to_one_version_wins(dsn: str, storage: Storage) -> None:
    async with storing(dsn) as other:
        outcomes = await asyncio.gather(
            *(one.store.append([append("a", text=n)]) for n, one in enumerate([storage, other] * 20))
        )
    assert sum(isinstance(outcome, Appended) for (outcome,) in outcomes) == 1
    assert sum(isinstance(outcome, Conflict) for (outcome,) in outcomes) == 39
    assert await versions(storage.store, "a") == [1]


async def test_what_stands_on_an_append_that_fails_conflicts(storage: Storage) -> None:
    outcomes = await storage.store.append([append("a", command="m-\x00"), append("a", after=1), append("b")])
    assert isinstance(outcomes[0], Rejected)
    assert outcomes[1:] == [Conflict(), Appended(1)]
    assert await versions(storage.store, "a") == []


async def test_a_failing_append_is_refused_alone(storage: Storage) -> None:
    """PostgreSQL's text cannot hold a NUL, so this append fails for a reason of its own whatever it is beside."""
    appends = [[append(f"s-{n}", command="m-\x00" if n == 13 else f"m-{n}")] for n in range(40)]
    outcomes = await asyncio.gather(*(storage.store.append(item) for item in appends))
    assert [n for n, (outcome,) in enumerate(outcomes) if isinstance(outcome, Rejected)] == [13]
    assert await storage.store.head() == 39
    await dense(storage.store)


async def test_more_than_the_store_takes_in_is_refused_at_once(storage: Storage) -> None:
    with pytest.raises(StoreOverloaded):
        await storage.store.append([append("a")] * 50_001)
    assert await storage.store.append([append("a")]) == [Appended(1)]


async def test_a_flush_is_bounded_and_what_is_left_follows(storage: Storage) -> None:
    appends = [append(f"s-{n}", events=3, text="x" * 3_000) for n in range(1_500)]
    outcomes = await storage.store.append(appends)
    assert [outcome.position for outcome in outcomes if isinstance(outcome, Appended)] == list(range(3, 4_501, 3))


async def test_a_stopped_store_refuses(dsn: str) -> None:
    async with storing(dsn) as storage:
        pass
    with pytest.raises(StoreUnavailable):
        await storage.store.append([append("a")])
