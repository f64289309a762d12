"""Archiving: what was removed long ago moves from the log into objects, a page at a time.

1. The rows of a page of streams are written into an object, which is read again and checked.
2. An event records which streams are there.
3. Their events are deleted; a mark in place of each stream's first says where they are.

A crash after 1 leaves an object that the next run writes again under the same name; one after 2 leaves events that are
there twice, until the next run begins with 3. At no time is an event nowhere.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated

import structlog
from pydantic import Field

from domain.archive import ArchivableLog, Archive, Moving
from domain.ports import Readers, StoreUnavailable, StreamName
from domain.storage import ObjectStore, StoredObject
from handlers.archive_file import archive_file
from handlers.persistence import persistently
from handlers.pipeline import Pipeline
from handlers.routes import CommandRoute, Decided, Moment
from millrace.contracts.wire import Accepted, Context, Message

SWEEP_SECONDS = 60.0
PAGE = 500
FOLDER = "archive"
log = structlog.get_logger("archive")


class Record(Message):
    """`archive.record`, from inside only: an object holds these streams."""

    kind: str
    ids: tuple[str, ...]
    object: str
    sha256: str
    size: int
    events: Annotated[int, Field(ge=1)]
    first: int
    last: int


def record(archive: Archive | None, command: Record, at: Moment) -> Decided:
    if archive is None:
        archive = Archive.record(
            at.stream,
            at.now,
            kind=command.kind,
            ids=list(command.ids),
            stored=StoredObject(command.object, command.sha256, command.size),
            events=command.events,
            first=command.first,
            last=command.last,
        )
    return Decided(archive, {"object": command.object})


def command_routes() -> dict[str, CommandRoute]:
    """The command that only the archiver gives."""

    def named(command: Record, _: Context) -> str:
        return command.sha256

    return {
        "archive.record": CommandRoute(Record, Archive, record, named, creates=True, required=False, remembered=False)
    }


@dataclass(frozen=True, slots=True)
class Archived:
    """What a sweep came to."""

    streams: int = 0
    events: int = 0
    objects: int = 0


class Archiver:
    """Moves streams into the storage. One process at a time does so, whichever.

    Args:
        age: seconds since a job was removed after which its events leave the log; None lets all of them stay.
    """

    def __init__(
        self, source: ArchivableLog, objects: ObjectStore, pipeline: Pipeline, readers: Readers, age: float | None
    ) -> None:
        self._source, self._objects, self._pipeline = source, objects, pipeline
        self._readers, self._age = readers, age

    async def run(self) -> None:
        """Runs until cancelled."""
        await persistently("archive", self._swept, pause=SWEEP_SECONDS)

    async def sweep(self, age: float | None = None) -> Archived:
        """Archives all that is old enough by now.

        Args:
            age: seconds, in place of the archiver's own.

        Raises:
            ObjectUnavailable: the storage does not take objects; whatever was not archived is still in the log.
            StoreUnavailable: the database does not answer.
        """
        done, age = Archived(), self._age if age is None else age
        async with self._readers.leadership("archive"):
            await self._source.forget()
            while age is not None:
                page = await self._source.candidates(age, PAGE)
                for _, streams in groupby(page, key=lambda stream: (stream.tenant, stream.kind)):
                    left = list(streams)
                    while left:
                        moved = await self._archive(left)
                        left = left[len(moved.streams) :]
                        done = Archived(
                            done.streams + len(moved.streams), done.events + len(moved.lines), done.objects + 1
                        )
                if not page:
                    break
        return done

    async def _swept(self) -> None:
        done = await self.sweep()
        if done.streams:
            log.info("archived", action="archive_swept", streams=done.streams, events=done.events, objects=done.objects)

    async def _archive(self, streams: list[StreamName]) -> Moving:
        moving = await self._source.moving(streams)
        content = await asyncio.to_thread(archive_file, moving)
        stored = await self._objects.put(moving.streams[0].tenant, FOLDER, content)
        # What cannot be read back is not archived.
        await self._objects.get(stored)
        first = moving.streams[0]
        command = Record(
            kind=first.kind,
            ids=tuple(stream.id for stream in moving.streams),
            object=stored.name,
            sha256=stored.sha256,
            size=stored.size,
            events=len(moving.lines),
            first=moving.first,
            last=moving.last,
        )
        context = Context(first.tenant, f"archive/{stored.sha256}", principal="millrace")
        answer = await self._pipeline.execute_internal("archive.record", command, context)
        if not isinstance(answer, Accepted):
            raise StoreUnavailable(answer.problem.detail)
        await self._source.forget()
        return moving
