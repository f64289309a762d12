"""Events to stored bytes and back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, ClassVar

import pytest
from eventsourcing.cipher import AESCipher
from eventsourcing.compressor import ZlibCompressor
from eventsourcing.persistence import MapperDeserialisationError, StoredEvent
from eventsourcing.utils import Environment, TopicError
from hypothesis import given
from hypothesis import strategies as st

from adapters.postgres.mapper import EventMapper
from adapters.postgres.snapshots import restored, stored_snapshot
from domain.aggregate import Aggregate, Event
from domain.job_events import Started
from projections.registry import AGGREGATES
from tests.controls.clock import NOW
from tests.controls.declared import recorded_streams
from tests.controls.jobs import completed, enqueued

KEY = AESCipher.create_key(16)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


class Weighed(Event):
    """An event whose shape has changed: it was `{"grams": n}` once."""

    TOPIC: ClassVar[str] = "test.weighed"
    class_version: ClassVar[int] = 2
    kilograms: float

    @staticmethod
    def upcast_v1_v2(state: dict[str, Any]) -> None:
        state["kilograms"] = state.pop("grams") / 1_000


def mappers() -> list[EventMapper]:
    cipher = AESCipher(Environment(env={AESCipher.CIPHER_KEY: KEY}))
    return [
        EventMapper(),
        EventMapper(compressor=ZlibCompressor()),
        EventMapper(cipher=cipher),
        EventMapper(compressor=ZlibCompressor(), cipher=cipher),
    ]


@pytest.mark.parametrize("mapper", mappers(), ids=["plain", "compressed", "encrypted", "both"])
def test_an_event_is_read_back_as_it_was(mapper: EventMapper) -> None:
    event = enqueued(run_at=NOW)
    assert mapper.to_domain_event(mapper.to_stored_event(event)) == event


@given(data=st.dictionaries(st.text(), JSON, max_size=5), result=JSON)
def test_whatever_json_an_event_carries_is_read_back_as_it_was(data: dict[str, Any], result: Any) -> None:
    mapper = EventMapper()
    for event in (enqueued(data=data), completed(3, result=result)):
        assert mapper.to_domain_event(mapper.to_stored_event(event)) == event


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 2, 3, tzinfo=UTC),
        datetime(2026, 2, 3, 4, 5, 6, 1, tzinfo=UTC),
        datetime(2026, 2, 3, 4, 5, 6, 999_999, tzinfo=timezone(timedelta(hours=5, minutes=45))),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ],
)
def test_a_time_is_the_same_moment_to_the_microsecond(moment: datetime) -> None:
    mapper = EventMapper()
    read = mapper.to_domain_event(mapper.to_stored_event(enqueued(run_at=moment)))
    assert read.run_at == moment  # type: ignore[attr-defined]
    assert read.timestamp == NOW


def test_text_that_looks_like_a_time_stays_text() -> None:
    event = enqueued(data={"at": "2026-02-03T04:05:06Z"}, name="2026-02-03T04:05:06Z")
    mapper = EventMapper()
    assert mapper.to_domain_event(mapper.to_stored_event(event)) == event


def test_an_old_shape_is_read_as_the_new_one() -> None:
    stored = StoredEvent("scale:acme:1", 1, "test.weighed", b'{"timestamp":"2026-02-03T04:05:06Z","grams":1700}')
    event = EventMapper().to_domain_event(stored)
    assert event == Weighed("scale:acme:1", 1, datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC), kilograms=1.7)


def test_the_new_shape_is_not_changed_again() -> None:
    event = Weighed("scale:acme:1", 1, NOW, kilograms=1.7)
    stored = EventMapper().to_stored_event(event)
    assert b'"class_version":2' in stored.state
    assert EventMapper().to_domain_event(stored) == event


def test_a_shape_of_a_newer_release_is_not_guessed_at() -> None:
    stored = EventMapper().to_stored_event(Weighed("scale:acme:1", 1, NOW, kilograms=1.7))
    newer = replace(stored, state=stored.state.replace(b'"class_version":2', b'"class_version":3'))
    with pytest.raises(MapperDeserialisationError, match="newer release"):
        EventMapper().to_domain_event(newer)


def test_an_encrypted_event_shows_nothing_and_needs_its_key() -> None:
    stored = mappers()[3].to_stored_event(enqueued())
    assert b"a-17.wav" not in stored.state
    with pytest.raises(MapperDeserialisationError):
        EventMapper().to_domain_event(stored)


def test_a_name_that_nobody_declared_is_not_resolved() -> None:
    with pytest.raises(TopicError):
        EventMapper().to_domain_event(StoredEvent("job:acme:11", 1, "job.evaporated", b"{}"))


@pytest.mark.parametrize("mapper", mappers(), ids=["plain", "compressed", "encrypted", "both"])
@pytest.mark.parametrize("stream", recorded_streams(), ids=lambda stream: stream["stream"])
def test_a_snapshot_is_read_back_as_the_aggregate_it_was(mapper: EventMapper, stream: dict[str, Any]) -> None:
    plain = EventMapper()
    events = [
        plain.to_domain_event(StoredEvent(stream["stream"], row["version"], row["topic"], row["state"].encode()))
        for row in stream["events"]
    ]
    for count in range(1, len(events) + 1):
        aggregate = AGGREGATES[stream["kind"]].replayed(events[:count])
        assert aggregate is not None
        row = stored_snapshot(aggregate, mapper)
        assert restored({"topic": row.topic, "state": row.state}, mapper) == aggregate
        assert continued(aggregate, mapper, events[count:]) == AGGREGATES[stream["kind"]].replayed(events)


def continued(aggregate: Aggregate, mapper: EventMapper, events: list[Event]) -> Aggregate | None:
    row = stored_snapshot(aggregate, mapper)
    return type(aggregate).replayed(events, restored({"topic": row.topic, "state": row.state}, mapper))


def test_a_start_is_plain_whatever_the_mapper_and_was_not_always() -> None:
    start = Started("job:acme:11", 2, NOW, attempt=1, worker="w-5")
    cipher = AESCipher(Environment(env={AESCipher.CIPHER_KEY: AESCipher.create_key(16)}))
    secret, plain = EventMapper(ZlibCompressor(), cipher), EventMapper()
    written = secret.to_stored_event(start)
    assert written == plain.to_stored_event(start)
    assert secret.to_domain_event(written) == start
    once = replace(written, state=cipher.encrypt(ZlibCompressor().compress(written.state)))
    assert secret.to_domain_event(once) == start
