"""Snapshots: an aggregate's state as one row, so that a long stream is not read from its beginning."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any, get_type_hints

from eventsourcing.persistence import StoredEvent
from pydantic import TypeAdapter
from pydantic_core import from_json, to_json

from adapters.postgres.mapper import EventMapper
from domain.aggregate import Aggregate
from projections.registry import AGGREGATES


def stored_snapshot(aggregate: Aggregate, mapper: EventMapper) -> StoredEvent:
    """The aggregate's state under the topic of its kind, packed like an event."""
    state = {name: value for name, value in vars(aggregate).items() if name != "_pending_events"}
    encoded = to_json(state)
    if mapper.compressor:
        encoded = mapper.compressor.compress(encoded)
    if mapper.cipher:
        encoded = mapper.cipher.encrypt(encoded)
    return StoredEvent(aggregate.id, aggregate.version, f"snapshot.{aggregate.KIND}", encoded)


def restored(row: Any, mapper: EventMapper) -> Aggregate:
    """The aggregate that a stored snapshot describes."""
    encoded: bytes = row["state"]
    if mapper.cipher:
        encoded = mapper.cipher.decrypt(encoded)
    if mapper.compressor:
        encoded = mapper.compressor.decompress(encoded)
    cls = AGGREGATES[row["topic"].removeprefix("snapshot.")]
    aggregate = cls.__new__(cls)
    state: dict[str, Any] = from_json(encoded)
    for name, adapter in _typed(cls).items():
        if name in state:
            state[name] = adapter.validate_python(state[name])
    # What a newer release added to the state begins as in an aggregate without events.
    aggregate.__base_init__(state["_id"], state["_version"], state["_created_on"])
    aggregate.__dict__.update(state, _pending_events=[])
    return aggregate


@cache
def _typed(cls: type[Aggregate]) -> dict[str, TypeAdapter[Any]]:
    """What gives each part of the state its type back: times, tuples and dataclasses are not what JSON has."""
    times = {"_created_on": datetime, "_modified_on": datetime}
    own = {name: hint for name, hint in get_type_hints(cls).items() if name in cls.__annotations__ and name.islower()}
    return {name: TypeAdapter(hint) for name, hint in {**times, **own}.items()}
