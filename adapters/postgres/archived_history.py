"""The events of streams, wherever they are: in the log or in an archive."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from adapters.postgres.event_store import PostgresEventStore
from domain.archive import StreamArchived
from domain.errors import Refusal
from domain.ports import RecordedEvent, StoreUnavailable, StreamName
from domain.storage import ObjectDamaged, ObjectMissing, ObjectStore, ObjectUnavailable, StoredObject
from handlers.archive_file import UnreadableArchive, rows_of


class ArchiveUnreadable(Refusal):
    """Raised when events are in an archive that cannot be read."""

    code = "archived"

    def __init__(self, stream: StreamName, stored: StoredObject, reason: str) -> None:
        super().__init__(
            f"{stream.kind} {stream.id} has been archived in {stored.name}, which cannot be read: {reason}"
        )
        self.stream, self.stored = stream, stored


class Story(NamedTuple):
    """All events of a stream that has left the log, and the object that they were read from.

    Where no storage is configured, the one event says where the others are.
    """

    events: list[RecordedEvent]
    archived_in: StoredObject


class ArchivedHistory:
    """Reads archives; a service without a storage only tells where they are."""

    def __init__(self, store: PostgresEventStore, objects: ObjectStore | None) -> None:
        self._store, self._objects = store, objects

    async def of(self, stream: StreamName) -> Story | None:
        """The stream's events if it was archived; None where whatever there is of it is in the log.

        Raises:
            ArchiveUnreadable: the object is not there, or is not what it was.
            StoreUnavailable: the storage does not answer.
        """
        first = await self._store.history(stream, 0, 1)
        if not first or not isinstance(first[0].event, StreamArchived):
            return None
        stored = first[0].event.stored
        if self._objects is None:
            return Story(first, stored)
        try:
            content = await self._objects.get(stored)
            rows = await asyncio.to_thread(lambda: list(rows_of(content, stream)))
        except (ObjectMissing, ObjectDamaged, UnreadableArchive) as error:
            raise ArchiveUnreadable(stream, stored, str(error)) from error
        except ObjectUnavailable as error:
            raise StoreUnavailable(str(error)) from error
        return Story(await self._store.from_archive(rows), stored)
