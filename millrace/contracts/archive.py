"""Archives on the wire: which streams have left the log, and where they are."""

from __future__ import annotations

from millrace.contracts.wire import Fact


class StreamsArchived(Fact):
    """The events of these aggregates are in an object of the storage; commands to them are refused as `archived`.

    Attributes:
        ids: of the aggregates, all of one `kind` and of the event's tenant.
        sha256: of the object's content, which has `size` bytes.
        events: how many events they have in all.
        first, last: positions of the oldest and the newest of them.
    """

    kind: str
    ids: tuple[str, ...]
    object: str
    sha256: str
    size: int
    events: int
    first: int
    last: int


EVENTS: dict[str, type[Fact]] = {"archive.streams_archived": StreamsArchived}
