"""Appends for whoever tests an event store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from domain.aggregate import Event
from domain.event import Published
from domain.ports import Append, CommandKey, Metadata, StreamName

TENANT = "acme"
NOW = datetime(2026, 2, 3, 4, 5, 6, 700_001, tzinfo=UTC)


def name(id: str) -> StreamName:
    return StreamName("event", TENANT, id)


def said(id: str, version: int, text: Any = "hello") -> Event:
    return Published(name(id).text, version, NOW, event_type="test.said", payload={"text": text})


def key(command: str, body: bytes = b"body-11") -> CommandKey:
    return CommandKey(TENANT, "anonymous", command, body)


def append(id: str, after: int = 0, events: int = 1, command: str | None = None, text: Any = "hello") -> Append:
    """An append of `events` events to a stream that is at version `after`."""
    made: Sequence[Event] = [said(id, after + number, text) for number in range(1, events + 1)]
    return Append(
        name(id),
        after,
        made,
        Metadata(TENANT, "north", "c-31", "m-11", "kim", "00-aa-bb-01"),
        key(command) if command else None,
        f'{{"result":"{id}"}}' if command else None,
    )
