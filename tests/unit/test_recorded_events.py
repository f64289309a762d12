"""What was stored once stays readable for ever, and says on the wire what its contract says."""

from __future__ import annotations

from typing import Any

import pytest
from eventsourcing.persistence import StoredEvent
from pydantic_core import from_json, to_json

from adapters.cloudevents import cloud_event
from adapters.postgres.mapper import EventMapper
from domain.aggregate import Event
from domain.ports import Metadata, RecordedEvent, StreamName
from millrace.contracts.catalogue import EVENTS, VERSIONS
from millrace.contracts.log import CloudEvent
from projections.registry import AGGREGATES
from tests.controls.clock import NOW
from tests.controls.declared import declared_events, recorded_streams

STREAMS = recorded_streams()
# An application's own payload has whatever shape the application gave it.
FREE = {"event.published"}


def decoded(stream: dict[str, Any]) -> list[Event]:
    mapper = EventMapper()
    return [
        mapper.to_domain_event(StoredEvent(stream["stream"], row["version"], row["topic"], row["state"].encode()))
        for row in stream["events"]
    ]


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream["stream"])
def test_recorded_streams_still_come_to_the_same_state(stream: dict[str, Any]) -> None:
    aggregate = AGGREGATES[stream["kind"]].replayed(decoded(stream))
    assert aggregate is not None
    assert from_json(to_json(aggregate.to_wire())) == stream["after"]


@pytest.mark.parametrize("topic", declared_events())
def test_every_declared_event_is_among_the_recorded_ones(topic: str) -> None:
    assert topic in {row["topic"] for stream in STREAMS for row in stream["events"]}


@pytest.mark.parametrize("topic", sorted(declared_events().keys() - FREE))
def test_every_declared_event_has_a_contract(topic: str) -> None:
    assert topic in EVENTS


def test_every_contract_has_a_declared_event() -> None:
    assert EVENTS.keys() <= declared_events().keys()
    assert {name: cls.class_version for name, cls in declared_events().items() if cls.class_version > 1} == (VERSIONS)


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream["stream"])
def test_recorded_events_fit_their_contracts_field_by_field(stream: dict[str, Any]) -> None:
    for event in decoded(stream):
        told = from_json(to_json(cloud_event(recorded(stream, event), "9f3c11")))
        envelope = CloudEvent.model_validate(told)
        if event.TOPIC in FREE:
            continue
        assert envelope.type == f"millrace.{event.TOPIC}.v{event.class_version}"
        contract = EVENTS[event.TOPIC]
        assert envelope.data.keys() <= contract.model_fields.keys(), "the contract names every field"
        contract.model_validate(envelope.data)


def test_an_application_s_event_travels_under_its_own_name() -> None:
    stream = next(stream for stream in STREAMS if stream["kind"] == "event")
    told = cloud_event(recorded(stream, decoded(stream)[0]), "9f3c11")
    assert (told["type"], told["data"]) == ("billing.invoiced", {"total": 11.1, "größe": None})


def recorded(stream: dict[str, Any], event: Event) -> RecordedEvent:
    name = StreamName(stream["kind"], "acme", stream["stream"].rpartition(":")[2])
    return RecordedEvent(
        17, name, event.originator_version, "e-17", event.routing_name, NOW, Metadata("acme", "north"), event
    )
