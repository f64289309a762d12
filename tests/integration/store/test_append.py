"""What an append comes to: stored, a conflict, a duplicate; alone and beside others in one flush."""

from __future__ import annotations

import asyncio

import pytest

from domain.ports import Append, Appended, Conflict, Duplicate, Metadata, Rejected, StoreOverloaded, StoreUnavailable
from infra.storage import Storage
from tests.support.stores import TENANT, append, key, name, storing


async def versions(storage: Storage, id: str) -> list[int]:
    return [event.version for event in await storage.store.history(name(id))]


async def dense(storage: Storage) -> None:
    head = await storage.store.head()
    assert [event.position for event in await storage.store.read(0, 100_000)] == list(range(1, head + 1))


async def test_positions_begin_with_one_and_go_up_by_one(storage: Storage) -> None:
    outcomes = [*await storage.store.append([append("a", events=3)]), *await storage.store.append([append("b")])]
    assert outcomes == [Appended(3), Appended(4)]
    assert await storage.store.head() == 4


async def test_an_event_keeps_everything_that_it_was_stored_with(storage: Storage) -> None:
    wanted = append("a", text={"größe": [1, None, 1.5]})
    await storage.store.append([wanted])
    (recorded,) = await storage.store.read(0, 10)
    assert (recorded.position, recorded.stream, recorded.version) == (1, name("a"), 1)
    assert recorded.event == wanted.events[0]
    assert recorded.metadata == wanted.metadata
    assert recorded.event_type == "test.said"
    assert recorded.event_id


async def test_an_append_to_a_version_that_is_taken_conflicts(storage: Storage) -> None:
    await storage.store.append([append("a")])
    assert await storage.store.append([append("a")]) == [Conflict()]
    assert await versions(storage, "a") == [1]


async def test_an_append_that_overlaps_in_part_stores_nothing(storage: Storage) -> None:
    await storage.store.append([append("a", events=2)])
    assert await storage.store.append([append("a", after=1, events=3)]) == [Conflict()]
    assert await versions(storage, "a") == [1, 2]
    await dense(storage)


async def test_a_repeated_command_gets_the_first_answer(storage: Storage) -> None:
    assert await storage.store.append([append("a", command="m-1")]) == [Appended(1)]
    repeated = await storage.store.append([append("a", after=1, command="m-1")])
    assert repeated == [Duplicate('{"result":"a"}', 1, same_body=True)]
    assert await versions(storage, "a") == [1]


async def test_a_command_id_with_another_body_is_told_apart(storage: Storage) -> None:
    await storage.store.append([append("a", command="m-1")])
    other = Append(None, 0, (), Metadata(TENANT), key("m-1", b"another"), "{}")
    assert await storage.store.append([other]) == [Duplicate('{"result":"a"}', 1, same_body=False)]


async def test_an_answer_without_events_is_remembered_and_takes_no_position(storage: Storage) -> None:
    refusal = Append(None, 0, (), Metadata(TENANT), key("m-1"), '{"error":1}')
    assert await storage.store.append([refusal]) == [Appended(None)]
    assert await storage.store.append([refusal]) == [Duplicate('{"error":1}', None, same_body=True)]
    assert await storage.store.head() == 0


async def test_bad_items_harm_no_other_item_of_their_flush(storage: Storage) -> None:
    await storage.store.append([append("taken"), append("known", command="m-known")])
    flush = [
        append("a", command="m-a"),
        append("taken"),
        append("b", events=3),
        append("known", after=1, command="m-known"),
        append("c"),
    ]
    assert await storage.store.append(flush) == [
        Appended(3),
        Conflict(),
        Appended(6),
        Duplicate('{"result":"known"}', 2, same_body=True),
        Appended(7),
    ]
    await dense(storage)


async def test_a_command_id_many_times_in_one_flush_has_one_effect(storage: Storage) -> None:
    outcomes = await asyncio.gather(
        *(storage.store.append([append(f"s-{copy}", command="m-1")]) for copy in range(40)),
        *(storage.store.append([append(f"other-{number}", command=f"m-o{number}")]) for number in range(40)),
    )
    stored = [outcome for (outcome,) in outcomes[:40] if isinstance(outcome, Appended)]
    repeated = [outcome for (outcome,) in outcomes[:40] if isinstance(outcome, Duplicate)]
    assert (len(stored), len(repeated)) == (1, 39)
    assert all(isinstance(outcome, Appended) for (outcome,) in outcomes[40:])
    assert {outcome.position for outcome in repeated} == {stored[0].position}
    await dense(storage)


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
    assert await versions(storage, "a") == [1]


async def test_a_chain_of_appends_to_one_stream_is_stored_in_one_flush(storage: Storage) -> None:
    chain = [append("a", after=after, command=f"m-{after}") for after in range(20)]
    assert await storage.store.append(chain) == [Appended(position) for position in range(1, 21)]
    assert await versions(storage, "a") == list(range(1, 21))


async def test_what_stands_on_an_append_that_conflicts_conflicts_too(storage: Storage) -> None:
    await storage.store.append([append("a", text="by another")])
    chain = [append("a", after=0), append("a", after=1), append("b")]
    assert await storage.store.append(chain) == [Conflict(), Conflict(), Appended(2)]
    assert await versions(storage, "a") == [1]


async def test_what_stands_on_an_append_that_fails_conflicts(storage: Storage) -> None:
    outcomes = await storage.store.append([append("a", command="m-\x00"), append("a", after=1), append("b")])
    assert isinstance(outcomes[0], Rejected)
    assert outcomes[1:] == [Conflict(), Appended(1)]
    assert await versions(storage, "a") == []


async def test_a_failing_append_is_refused_alone(storage: Storage) -> None:
    """PostgreSQL's text cannot hold a NUL, so this append fails for a reason of its own whatever it is beside."""
    appends = [[append(f"s-{n}", command="m-\x00" if n == 13 else f"m-{n}")] for n in range(40)]
    outcomes = await asyncio.gather(*(storage.store.append(item) for item in appends))
    assert [n for n, (outcome,) in enumerate(outcomes) if isinstance(outcome, Rejected)] == [13]
    assert await storage.store.head() == 39
    await dense(storage)


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
