"""The archive: streams whose events have moved from the log into an object."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, NamedTuple, Protocol, Self

from domain.aggregate import Aggregate, Event
from domain.errors import StreamIsArchived
from domain.ports import StreamName
from domain.storage import StoredObject

KIND = "archive"


class StreamsArchived(Event):
    """From here on the streams of these ids are in the object; their events leave the log.

    Attributes:
        kind: of the streams; their tenant is the event's.
        first: position of the oldest event that leaves.
        last: of the newest one.
    """

    TOPIC: ClassVar[str] = "archive.streams_archived"
    kind: str
    ids: list[str]
    object: str
    sha256: str
    size: int
    events: int
    first: int
    last: int

    def apply(self, archive: Archive) -> None:
        archive.kind, archive.ids = self.kind, self.ids
        archive.object, archive.sha256, archive.size = self.object, self.sha256, self.size
        archive.events, archive.first, archive.last = self.events, self.first, self.last


class StreamArchived(Event):
    """Stands in place of an archived stream's first event and says where all of them are."""

    TOPIC: ClassVar[str] = "stream.archived"
    object: str
    sha256: str
    size: int

    @property
    def routing_name(self) -> str:
        return self.TOPIC

    @property
    def stored(self) -> StoredObject:
        return StoredObject(self.object, self.sha256, self.size)

    def apply(self, aggregate: Any) -> None:
        """Refuses: nothing can be decided on a stream whose events are elsewhere.

        Raises:
            StreamIsArchived: always.
        """
        raise StreamIsArchived(self.originator_id, self.object)


class Archive(Aggregate):
    """One object with the events of streams of one tenant and kind. Its id is the object's hash."""

    KIND: ClassVar[str] = KIND

    kind: str
    ids: list[str]
    object: str
    sha256: str
    size: int
    events: int
    first: int
    last: int

    @classmethod
    def record(
        cls, stream: str, now: datetime, *, kind: str, ids: list[str], stored: StoredObject, events: int, first: int,
        last: int,
    ) -> Self:  # fmt: skip
        """That an object holds these streams."""
        return cls.created_by(StreamsArchived(stream, 1, now, kind, ids, *stored, events, first, last))

    @property
    def ended(self) -> bool:
        return True

    def to_wire(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "ids": self.ids,
            "object": self.object,
            "sha256": self.sha256,
            "size": self.size,
            "events": self.events,
            "first": self.first,
            "last": self.last,
        }


class Moving(NamedTuple):
    """Streams as they stand in the log, to be written into one object.

    Attributes:
        lines: their rows, JSON text each, stream after stream.
        first: position of the oldest of their events.
        last: of the newest one.
    """

    streams: Sequence[StreamName]
    lines: Sequence[str]
    first: int
    last: int


class ArchivableLog(Protocol):
    """What the archiver needs of the log."""

    async def candidates(self, age: float, limit: int) -> list[StreamName]:
        """Jobs that were removed at least `age` seconds ago and that nobody needs any more, the oldest first.

        Those stay that a reader or subscription has not passed yet, that a reader holds, or that come before a job
        which is still there.
        """
        ...

    async def moving(self, streams: Sequence[StreamName]) -> Moving:
        """The rows of as many of the streams, from the first on, as go into one object."""
        ...

    async def forget(self) -> int:
        """Deletes the events of streams that `StreamsArchived` has recorded; returns of how many.

        Whatever a crash has left undone is done by the next call.
        """
        ...
