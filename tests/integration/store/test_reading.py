"""What is read back: streams at a version and at a time, pages, snapshots, and what the library itself reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg
import pytest
from eventsourcing.cipher import AESCipher
from eventsourcing.compressor import ZlibCompressor
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from eventsourcing.utils import Environment

from adapters.postgres.mapper import EventMapper
from domain.aggregate import Event, Unreadable
from domain.event import Publication
from domain.ports import Append, Metadata, RecordedEvent, StreamName
from domain.subscription import Subscription
from infra.storage import Storage
from millrace.contracts.wire import matches, pattern_expression
from tests.controls.clock import NOW, later
from tests.controls.patterns import MATCHES
from tests.support.stores import TENANT, append, name, storing


async def test_one_tenant_s_matching_events_are_read_and_no_other_s(storage: Storage) -> None:
    foreign = append("a")._replace(stream=StreamName("event", "globex", "a"), metadata=Metadata("globex"))
    foreign = foreign._replace(events=[replace_id(event, "event:globex:a") for event in foreign.events])
    await storage.store.append([append("a"), foreign, append("b")])
    found, reached = await storage.store.read_matching(TENANT, pattern_expression("test.*"), 0, 3, 10)
    assert ([event.position for event in found], reached) == ([1, 3], 3)
    assert await storage.store.read_matching(TENANT, pattern_expression("job.#"), 0, 3, 10) == ([], 3)
    assert (await storage.store.read_matching(TENANT, pattern_expression("#"), 0, 3, 1))[1] == 1
    only = await storage.store.read_matching(TENANT, pattern_expression("#"), 0, 3, 10, subject="b")
    assert [event.position for event in only[0]] == [3]


async def whole_log(storage: Storage) -> list[RecordedEvent]:
    events: list[RecordedEvent] = []
    while page := await storage.store.read(len(events), 3):
        events += page
    return events


async def test_what_other_processes_stored_is_read_and_decoded_once_for_all_readers(dsn: str, storage: Storage) -> None:
    async with storing(dsn) as other:
        for number in range(5):
            await storage.store.append([append(f"own-{number}")])
            await other.store.append([append(f"foreign-{number}")])
        first, *rest = await asyncio.gather(*(whole_log(storage) for _ in range(4)))
    assert [event.position for event in first] == list(range(1, 11))
    for events in rest:
        assert list(map(id, events)) == list(map(id, first))


async def test_who_comes_late_to_what_several_processes_stored_takes_it_in_whole_pages(
    dsn: str, storage: Storage
) -> None:
    async with storing(dsn) as other:
        for number in range(20):
            await storage.store.append([append(f"own-{number}")])
            await other.store.append([append(f"foreign-{number}")])
    assert [event.position for event in await storage.store.read(0, 30)] == list(range(1, 31))
    assert [event.position for event in await storage.store.read(30, 30)][:9] == list(range(31, 40))


async def test_a_page_that_its_bytes_cut_says_how_far_it_goes(storage: Storage) -> None:
    await storage.store.append([append(f"s-{number}", text="x" * 900_000) for number in range(12)])
    position, seen = 0, []
    while position < 12:
        page, position = await storage.store.read_matching(TENANT, pattern_expression("#"), position, 12, 100)
        assert len(page) < 12
        seen += [event.position for event in page]
    assert seen == list(range(1, 13))


def replace_id(event: Event, stream: str) -> Event:
    return type(event)(**{**vars(event), "originator_id": stream})


@pytest.mark.parametrize(("pattern", "event_type", "expected"), MATCHES)
async def test_postgresql_matches_patterns_as_python_does(
    pattern: str, event_type: str, expected: bool, database_connection: asyncpg.Connection
) -> None:
    expression = pattern_expression(pattern)
    assert matches(pattern, event_type) is expected
    assert await database_connection.fetchval("SELECT ($1 || '.') ~ $2", event_type, expression) is expected


@pytest.fixture
async def database_connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def test_a_snapshot_and_the_events_since_come_to_the_whole_aggregate(storage: Storage) -> None:
    stream = StreamName("subscription", TENANT, "billing")
    whole = Subscription.create(
        stream.text, NOW, name="billing", pattern="#", delivery="pull", position=0, priority=5, max_attempts=3
    )
    for position in range(1, 30):
        whole.acknowledge(position, 100, later(position))
        whole.park(position, f"e-{position}", "broken", 1, later(position))
    events = whole.collected()
    await storage.store.append([Append(stream, 0, events, Metadata(TENANT, "north"))])
    await storage.store.save_snapshot(stream, replayed(events[:40]))
    await storage.store.save_snapshot(stream, replayed(events[:40]))
    loaded = (await storage.store.load([stream, name("missing")]))[stream]
    assert len(loaded.events) == len(events) - 40
    assert Subscription.replayed(loaded.events, loaded.snapshot) == whole  # type: ignore[arg-type]
    assert (loaded.origin, loaded.position) == (Metadata(TENANT, "north"), len(events))


def replayed(events: list[Event]) -> Subscription:
    aggregate = Subscription.replayed(events)
    assert aggregate is not None
    return aggregate


async def test_a_snapshot_of_the_newest_version_needs_no_events(storage: Storage) -> None:
    await storage.store.append([append("a")])
    aggregate = Publication.replayed(append("a").events)
    assert aggregate is not None
    await storage.store.save_snapshot(name("a"), aggregate)
    loaded = (await storage.store.load([name("a")]))[name("a")]
    assert (loaded.events, loaded.snapshot, loaded.position) == ([], aggregate, 1)


async def test_an_event_that_cannot_be_decoded_keeps_its_place(
    dsn: str, storage: Storage, connection: asyncpg.Connection
) -> None:
    await storage.store.append([append("a", events=3), append("b")])
    await connection.execute("UPDATE stored_events SET state = 'no JSON' WHERE notification_id = 2")
    await connection.execute("UPDATE stored_events SET topic = 'test.unheard' WHERE notification_id = 4")
    async with storing(dsn) as other:
        page = await other.store.read(0, 10)
    assert [event.position for event in page] == [1, 2, 3, 4]
    unreadable = [event.event for event in page if isinstance(event.event, Unreadable)]
    assert [(it.topic, it.originator_version) for it in unreadable] == [("event.published", 2), ("test.unheard", 1)]
    assert page[3].event_type == "test.said"


async def test_encrypted_and_compressed_events_are_read_with_their_mapper_only(dsn: str) -> None:
    cipher = AESCipher(Environment(env={AESCipher.CIPHER_KEY: AESCipher.create_key(16)}))
    async with storing(dsn, EventMapper(ZlibCompressor(), cipher)) as secret, storing(dsn) as plain:
        wanted = append("a", text="a secret")
        await secret.store.append([wanted])
        assert (await secret.store.read(0, 1))[0].event == wanted.events[0]
        assert isinstance((await plain.store.read(0, 1))[0].event, Unreadable)


async def test_the_library_s_own_recorder_reads_what_we_wrote(dsn: str, storage: Storage) -> None:
    wanted = [append("a", events=3), append("b", events=2, text={"größe": [None, 1.5]})]
    await storage.store.append(wanted)
    by_library = await asyncio.to_thread(read_by_library, dsn, [name("a").text, name("b").text])
    assert by_library.head == 5
    assert by_library.streams == [list(item.events) for item in wanted]
    assert by_library.notifications == [(1, "a"), (2, "a"), (3, "a"), (4, "b"), (5, "b")]


class Read:
    def __init__(self, recorder: PostgresApplicationRecorder, streams: list[str]) -> None:
        decode = EventMapper().to_domain_event
        self.streams = [[decode(stored) for stored in recorder.select_events(stream)] for stream in streams]
        found = [*recorder.select_notifications(1, 3), *recorder.select_notifications(4, 10)]
        self.notifications = [(int(it.id), str(it.originator_id).rpartition(":")[2]) for it in found]
        assert [decode(StoredEvent(i.originator_id, i.originator_version, i.topic, i.state)) for i in found] == [
            event for stream in self.streams for event in stream
        ]
        self.head = recorder.max_notification_id()


def read_by_library(dsn: str, streams: list[str]) -> Read:
    url = urlsplit(dsn)
    folder = parse_qs(url.query).get("host", [url.hostname or ""])[0]
    datastore = PostgresDatastore(
        unquote(url.path.removeprefix("/")),
        folder,
        url.port or 5432,
        url.username or "",
        url.password or "unused",
        originator_id_type="text",
    )
    try:
        return Read(PostgresApplicationRecorder(datastore, events_table_name="stored_events"), streams)
    finally:
        datastore.close()
