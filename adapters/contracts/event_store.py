"""What every event store does: stores appends, tells conflicts and duplicates apart, and reads back what is there."""

from __future__ import annotations

import asyncio

from adapters.contracts.appends import NOW, TENANT, append, key, name
from domain.ports import Append, Appended, Conflict, Duplicate, EventStore, Metadata


async def versions(store: EventStore, id: str) -> list[int]:
    return [event.version for event in await store.history(name(id))]


async def dense(store: EventStore) -> None:
    """Positions have no holes."""
    head = await store.head()
    assert [event.position for event in await store.read(0, 100_000)] == list(range(1, head + 1))


class EventStoreContract:
    """The fixture `store` is an empty `EventStore`."""

    async def test_positions_begin_with_one_and_go_up_by_one(self, store: EventStore) -> None:
        outcomes = [*await store.append([append("a", events=3)]), *await store.append([append("b")])]
        assert outcomes == [Appended(3), Appended(4)]
        assert await store.head() == 4

    async def test_an_event_keeps_everything_that_it_was_stored_with(self, store: EventStore) -> None:
        wanted = append("a", text={"größe": [1, None, 1.5]})
        await store.append([wanted])
        (recorded,) = await store.read(0, 10)
        assert (recorded.position, recorded.stream, recorded.version) == (1, name("a"), 1)
        assert recorded.event == wanted.events[0]
        assert recorded.metadata == wanted.metadata
        assert recorded.event_type == "test.said"
        assert recorded.event_id

    async def test_an_append_to_a_version_that_is_taken_conflicts(self, store: EventStore) -> None:
        await store.append([append("a")])
        assert await store.append([append("a")]) == [Conflict()]
        assert await versions(store, "a") == [1]

    async def test_an_append_that_overlaps_in_part_stores_nothing(self, store: EventStore) -> None:
        await store.append([append("a", events=2)])
        assert await store.append([append("a", after=1, events=3)]) == [Conflict()]
        assert await versions(store, "a") == [1, 2]
        await dense(store)

    async def test_a_repeated_command_gets_the_first_answer(self, store: EventStore) -> None:
        assert await store.append([append("a", command="m-1")]) == [Appended(1)]
        repeated = await store.append([append("a", after=1, command="m-1")])
        assert repeated == [Duplicate('{"result":"a"}', 1, same_body=True)]
        assert await versions(store, "a") == [1]

    async def test_a_command_id_with_another_body_is_told_apart(self, store: EventStore) -> None:
        await store.append([append("a", command="m-1")])
        other = Append(None, 0, (), Metadata(TENANT), key("m-1", b"another"), "{}")
        assert await store.append([other]) == [Duplicate('{"result":"a"}', 1, same_body=False)]

    async def test_an_answer_without_events_is_remembered_and_takes_no_position(self, store: EventStore) -> None:
        refusal = Append(None, 0, (), Metadata(TENANT), key("m-1"), '{"error":1}')
        assert await store.append([refusal]) == [Appended(None)]
        assert await store.append([refusal]) == [Duplicate('{"error":1}', None, same_body=True)]
        assert await store.head() == 0

    async def test_bad_items_harm_no_other_item_of_their_flush(self, store: EventStore) -> None:
        await store.append([append("taken"), append("known", command="m-known")])
        flush = [
            append("a", command="m-a"),
            append("taken"),
            append("b", events=3),
            append("known", after=1, command="m-known"),
            append("c"),
        ]
        assert await store.append(flush) == [
            Appended(3),
            Conflict(),
            Appended(6),
            Duplicate('{"result":"known"}', 2, same_body=True),
            Appended(7),
        ]
        await dense(store)

    async def test_a_command_id_many_times_in_one_flush_has_one_effect(self, store: EventStore) -> None:
        outcomes = await asyncio.gather(
            *(store.append([append(f"s-{copy}", command="m-1")]) for copy in range(40)),
            *(store.append([append(f"other-{number}", command=f"m-o{number}")]) for number in range(40)),
        )
        stored = [outcome for (outcome,) in outcomes[:40] if isinstance(outcome, Appended)]
        repeated = [outcome for (outcome,) in outcomes[:40] if isinstance(outcome, Duplicate)]
        assert (len(stored), len(repeated)) == (1, 39)
        assert all(isinstance(outcome, Appended) for (outcome,) in outcomes[40:])
        assert {outcome.position for outcome in repeated} == {stored[0].position}
        await dense(store)

    async def test_a_chain_of_appends_to_one_stream_is_stored_in_one_flush(self, store: EventStore) -> None:
        chain = [append("a", after=after, command=f"m-{after}") for after in range(20)]
        assert await store.append(chain) == [Appended(position) for position in range(1, 21)]
        assert await versions(store, "a") == list(range(1, 21))

    async def test_what_stands_on_an_append_that_conflicts_conflicts_too(self, store: EventStore) -> None:
        await store.append([append("a", text="by another")])
        chain = [append("a", after=0), append("a", after=1), append("b")]
        assert await store.append(chain) == [Conflict(), Conflict(), Appended(2)]
        assert await versions(store, "a") == [1]

    async def test_a_stream_is_read_from_any_version(self, store: EventStore) -> None:
        await store.append([append("a", events=7), append("b")])
        assert [e.version for e in await store.history(name("a"), after_version=3, limit=2)] == [4, 5]
        assert await store.history(name("missing")) == []

    async def test_a_stream_is_read_as_it_was_at_a_time(self, store: EventStore) -> None:
        await store.append([append("a", events=2)])
        await store.append([append("a", after=2)])
        first, _, last = await store.history(name("a"))
        assert first.recorded_at < last.recorded_at
        assert [e.version for e in await store.history(name("a"), until=first.recorded_at)] == [1, 2]
        assert len(await store.history(name("a"), until=last.recorded_at)) == 3
        assert await store.history(name("a"), until=NOW.replace(year=2001)) == []

    async def test_the_log_is_read_from_any_position_in_pages_of_any_size(self, store: EventStore) -> None:
        await store.append([append(f"s-{number}") for number in range(23)])
        for size in (1, 2, 5, 22, 23, 24):
            position, seen = 0, []
            while page := await store.read(position, size):
                assert len(page) <= size
                seen += [event.position for event in page]
                position = page[-1].position
            assert seen == list(range(1, 24))
