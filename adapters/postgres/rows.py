"""A batch of appends as the rows that `append_batch` takes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from eventsourcing.persistence import StoredEvent
from pydantic_core import to_json

from domain.aggregate import Event
from domain.batch import KIND as BATCH
from domain.batch import BatchCreated
from domain.ports import Append, Metadata, RecordedEvent, StreamName, Work
from domain.progress import KIND as PROGRESS
from domain.progress_events import Created as ProgressCreated
from domain.progress_jobs import MODE as JOBS

APPEND_BATCH = "SELECT * FROM append_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
APPEND_AND_GRANT = "SELECT * FROM append_and_grant($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
# About what an event takes besides its state.
ENVELOPE_BYTES = 500


class Link(NamedTuple):
    """A job that another one waits for; `failed` where it has failed already."""

    parent: str
    parent_id: str
    on_failure: str
    failed: bool


def _random_prefix() -> str:
    """The first 80 bits of a UUID version 8, 72 of them random; the event's ordinal in its batch makes the rest."""
    text = f"{random.getrandbits(72):018x}"
    return f"{text[:8]}-{text[8:12]}-8{text[12:15]}-8{text[15:18]}-"


@dataclass(slots=True)
class BatchRows:
    """Rows of events, of the inbox and of the inline projections, for `append_batch`."""

    events: list[tuple[Any, ...]] = field(default_factory=list)
    envelopes: list[tuple[StreamName, Metadata, Event, str]] = field(default_factory=list)
    inbox: list[tuple[Any, ...]] = field(default_factory=list)
    work: dict[str, tuple[StreamName, Work, int, int]] = field(default_factory=dict)
    keys: dict[tuple[str, str], tuple[Any, ...]] = field(default_factory=dict)
    links: dict[str, Sequence[Link]] = field(default_factory=dict)
    members: list[tuple[Any, ...]] = field(default_factory=list)
    batches: list[tuple[Any, ...]] = field(default_factory=list)
    id_prefix: str = field(default_factory=_random_prefix)
    leaves: dict[str, set[str]] = field(default_factory=lambda: {"ready": set(), "waiting": set(), "leases": set()})

    def add(self, append: Append, stored: Sequence[StoredEvent], links: Sequence[Link] = ()) -> int | None:
        """Adds one append; returns the ordinal (1, 2, 3 …) of its last event in the batch, None without events.

        Args:
            links: the jobs that the append's job has to wait for.
        """
        stream, meta = append.stream, append.metadata
        if append.also is not None:
            own = len(append.events)
            self.add(append.also, stored[own:])
            stored = stored[:own]
        if stream is not None:
            extra = _extra(meta)
            for event, row in zip(append.events, stored, strict=True):
                event_id = self.event_id(len(self.events))
                self.envelopes.append((stream, meta, event, event_id))
                self.events.append(
                    (
                        row.originator_id,
                        row.originator_version,
                        row.topic,
                        row.state,
                        event_id,
                        event.routing_name,
                        stream.kind,
                        stream.id,
                        stream.tenant,
                        meta.company,
                        meta.correlation_id,
                        meta.causation_id,
                        extra,
                    )
                )
            if stream.kind == BATCH:
                self._note_batch(stream, append.events)
            elif stream.kind == PROGRESS and append.expected_version == 0:
                self._note_tracked(stream, append.events[0])
        last = len(self.events) if append.events else None
        if append.key is not None:
            key = append.key
            self.inbox.append((key.tenant, key.principal, key.command_id, key.body_hash, append.answer, last))
        if append.work is not None and stream is not None:
            for table in append.work.leaves:
                self.leaves[table].add(stream.text)
            version = append.expected_version + len(append.events)
            work = append.work
            if work.place == "same" and (earlier := self.work.get(stream.text)) is not None:
                # The row that it would change is placed by this very batch.
                work = earlier[1]._replace(task=work.task)
            self.work[stream.text] = (stream, work, len(self.events), version)
            if append.work.unique is not None:
                name, until, ttl = append.work.unique
                self.keys[stream.tenant, name] = (stream.tenant, name, stream.text, stream.id, until, ttl)
            if append.work.batch is not None:
                self.members.append((*stream_row(stream), append.work.batch.text))
            if links:
                self.links[stream.text] = links
            elif self.links:
                self._unlink(stream.text, append.work)
        return last

    def _note_batch(self, stream: StreamName, events: Sequence[Event]) -> None:
        for ordinal, event in enumerate(events, len(self.events) - len(events) + 1):
            what = event.TOPIC.partition(".")[2]
            name = event.name if isinstance(event, BatchCreated) else None
            self.batches.append((ordinal, what, *stream_row(stream), name))

    def _note_tracked(self, stream: StreamName, event: Event) -> None:
        if isinstance(event, ProgressCreated) and (event.children or {}).get("mode") == JOBS:
            batch = StreamName(BATCH, stream.tenant, stream.id)
            self.batches.append((0, "tracked", *stream_row(batch), None))

    def _unlink(self, child: str, work: Work) -> None:
        """A child that has ended in the batch in which it came waits for nobody."""
        if work.place is None:
            self.links.pop(child, None)

    def event_id(self, number: int) -> str:
        """The id of the batch's event with that number, from 0 on."""
        return f"{self.id_prefix}{number:012x}"

    def parameters(self) -> list[Any]:
        placed: list[tuple[Any, ...]] = []
        children: list[tuple[Any, ...]] = []
        for text, (stream, work, last, version) in self.work.items():
            if work.place is None:
                continue
            row = (
                text,
                stream.tenant,
                stream.id,
                work.queue,
                work.rank,
                last,
                version,
                work.attempt,
                work.task,
                work.due_at,
                *_origin(work.origin),
                work.name,
                work.key,
                work.priority,
                work.place,
                work.affinity,
            )
            (children if text in self.links else placed).append(row)
        leaves = self.leaves
        links = [(child, *link) for child, parents in self.links.items() for link in parents]
        return [
            self.events, self.inbox, list(leaves["ready"]), list(leaves["waiting"]), list(leaves["leases"]), placed,
            list(self.keys.values()), children, links, self.members,
            self.batches,
        ]  # fmt: skip

    def recorded(self, base: int, at: datetime) -> list[RecordedEvent]:
        """The events as they stand in the log, given what `append_batch` returned."""
        return [
            RecordedEvent(
                base + ordinal, stream, event.originator_version, event_id, event.routing_name, at, meta, event
            )
            for ordinal, (stream, meta, event, event_id) in enumerate(self.envelopes, 1)
        ]

    def sizes(self) -> list[int]:
        """About how many bytes each event takes in memory."""
        return [len(row[3]) + ENVELOPE_BYTES for row in self.events]

    @property
    def lanes(self) -> set[tuple[str, str]]:
        """The lanes (tenant, queue) that the batch puts ready jobs into, or whose rules it changes."""
        places = ("ready", "rules")
        return {
            (stream.tenant, work.queue)
            for stream, work, _, _ in self.work.values()
            if work.place in places and stream.text not in self.links
        }

    @property
    def left(self) -> set[tuple[str, str]]:
        """The lanes whose jobs leave a place in which they may have held a slot."""
        return {(stream.tenant, work.queue) for stream, work, _, _ in self.work.values() if work.leaves}


def stream_row(stream: StreamName) -> tuple[str, str, str]:
    """A stream as rows name it."""
    return stream.text, stream.tenant, stream.id


def _origin(origin: Metadata | None) -> tuple[str | None, str | None, str | None]:
    return (origin.company, origin.correlation_id, origin.traceparent) if origin else (None, None, None)


def _extra(meta: Metadata) -> str | None:
    if meta.actor is None and meta.traceparent is None:
        return None
    values = {"actor": meta.actor, "traceparent": meta.traceparent}
    return to_json({name: value for name, value in values.items() if value is not None}).decode()
