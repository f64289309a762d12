"""Answers about the log and what it holds of an aggregate."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from millrace.contracts.log import CloudEvent


class ObjectPlace(BaseModel):
    """An object of the storage: its name, the SHA-256 of its content, and its size in bytes."""

    name: str
    sha256: str
    size: int


class EventPage(BaseModel):
    """Answer to `log.history` and `log.why`. `archived` is where events come from that have left the log."""

    events: list[CloudEvent]
    archived: ObjectPlace | None = None


class AggregateState(BaseModel):
    """An aggregate as of a version or a time."""

    kind: str
    id: str
    version: int
    state: dict[str, Any] | None
