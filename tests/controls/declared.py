"""Every event that the domain declares, and rows of each as they were once stored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from domain.aggregate import Event, Unreadable
from domain.archive import StreamArchived

RECORDED = Path(__file__).with_name("recorded_events.json")


def declared_events() -> dict[str, type[Event]]:
    """By stored name; without bases and without what only stands for an event."""
    stand_ins = (Unreadable, StreamArchived)
    return {cls.TOPIC: cls for cls in _leaves(Event) if cls not in stand_ins and cls.__module__.startswith("domain.")}


def recorded_streams() -> list[dict[str, Any]]:
    """Streams as they were stored when their events were declared. Rows are only ever added."""
    streams: list[dict[str, Any]] = json.loads(RECORDED.read_text())
    return streams


def _leaves(cls: type[Event]) -> Iterator[type[Event]]:
    below = cls.__subclasses__()
    if not below:
        yield cls
    for child in below:
        yield from _leaves(child)
