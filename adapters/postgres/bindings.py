"""What binds jobs to each other, as the append lock shows it: unique keys, parents, batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import asyncpg

from adapters.postgres.rows import Link
from domain.batch import BatchCancelled, BatchSealed
from domain.job import KIND
from domain.job_events import Cancelled, Completed, DeadLettered, Enqueued, Removed, Revived
from domain.ports import Append, BatchClosed, KeyTaken, ParentsMissing, StreamName

State = Literal["open", "completed", "failed"]

HOLDERS = """
SELECT u.tenant, u.key, u.job_id
  FROM unnest($1::text[], $2::text[]) AS k(tenant, key)
  JOIN unique_keys u ON u.tenant = k.tenant AND u.key = k.key
 WHERE u.expires_at IS NULL OR u.expires_at > clock_timestamp()
"""
# What a job came to last; one that does not exist, or not any more, has no row. Archiving relies on it that no job
# comes after another whose removal every reader has passed already.
STATES = """
SELECT p.stream, e.event_type
  FROM unnest($1::text[]) AS p(stream)
 CROSS JOIN LATERAL (
       SELECT event_type FROM stored_events
        WHERE originator_id = p.stream
          AND event_type IN ('job.enqueued', 'job.completed', 'job.dead_lettered', 'job.cancelled', 'job.revived',
                             'job.removed')
        ORDER BY originator_version DESC LIMIT 1) AS e
 WHERE e.event_type <> 'job.removed'
"""
BATCHES = "SELECT stream, is_sealed FROM batches WHERE stream = ANY ($1::text[])"
ENDINGS: dict[str, State] = {"job.completed": "completed", "job.dead_lettered": "failed", "job.cancelled": "failed"}


def parts_of(append: Append) -> tuple[Append, ...]:
    """The append and the one that is stored with it, in the order in which they are."""
    return (append,) if append.also is None else (append.also, append)


class Bindings:
    """Keys and parents as they are in the database and after the appends of the batch that were noted so far."""

    def __init__(
        self, holders: dict[tuple[str, str], StreamName], states: dict[str, State], sealed: dict[str, bool]
    ) -> None:
        self._holders, self._states, self._sealed = holders, states, sealed
        self._ended: set[StreamName] = set()

    @classmethod
    async def looked_up(cls, connection: asyncpg.Connection[asyncpg.Record], appends: Sequence[Append]) -> Bindings:
        """The keys, parents and batches that some appends are about."""
        keys = set()
        parents: set[str] = set()
        batches: set[str] = set()
        for append in appends:
            if append.work is None or append.stream is None:
                continue
            if append.work.unique is not None:
                keys.add((append.stream.tenant, append.work.unique.key))
            if append.work.parents is not None:
                parents.update(stream.text for stream in append.work.parents.streams)
            if append.work.batch is not None:
                batches.add(append.work.batch.text)
        holders = {}
        for row in await connection.fetch(HOLDERS, *zip(*keys, strict=True)) if keys else []:
            holders[row["tenant"], row["key"]] = StreamName(KIND, row["tenant"], row["job_id"])
        rows = await connection.fetch(STATES, list(parents)) if parents else []
        states = {row["stream"]: ENDINGS.get(row["event_type"], "open") for row in rows}
        known = await connection.fetch(BATCHES, list(batches)) if batches else []
        return cls(holders, states, {row["stream"]: row["is_sealed"] for row in known})

    def objection(self, append: Append) -> KeyTaken | ParentsMissing | BatchClosed | None:
        """What forbids to store the append now."""
        if append.work is None or append.stream is None:
            return None
        unique, parents = append.work.unique, append.work.parents
        if unique is not None:
            holder = self._holders.get((append.stream.tenant, unique.key))
            replaced = append.also.stream if append.also is not None else None
            if holder is not None and holder not in (append.stream, replaced) and holder not in self._ended:
                return KeyTaken(holder)
        if parents is not None:
            missing = tuple(stream.id for stream in parents.streams if stream.text not in self._states)
            if missing:
                return ParentsMissing(missing)
        batch = append.work.batch
        if batch is not None and self._sealed.get(batch.text, True):
            return BatchClosed(batch.id, batch.text in self._sealed)
        return None

    def note(self, append: Append) -> None:
        """The append will be stored: what comes after it in the batch stands on it."""
        for part in parts_of(append):
            if any(isinstance(event, BatchSealed | BatchCancelled) for event in part.events):
                self._sealed[part.events[0].originator_id] = True
            if part.work is None or part.stream is None:
                continue
            for event in part.events:
                match event:
                    case Enqueued() | Revived():
                        self._states[part.stream.text] = "open"
                        self._ended.discard(part.stream)
                    case Completed():
                        self._states[part.stream.text] = "completed"
                        self._ended.add(part.stream)
                    case DeadLettered() | Cancelled():
                        self._states[part.stream.text] = "failed"
                        self._ended.add(part.stream)
                    case Removed():
                        self._states.pop(part.stream.text, None)
                    case _:
                        # Neither frees a key nor is waited for.
                        continue
            if part.work.unique is not None:
                self._holders[part.stream.tenant, part.work.unique.key] = part.stream

    def links(self, append: Append) -> list[Link]:
        """The jobs that the append's new job has to wait for."""
        parents = append.work.parents if append.work is not None else None
        if parents is None:
            return []
        found = []
        for stream in parents.streams:
            state = self._states[stream.text]
            if state == "open" or (state == "failed" and parents.on_failure != "run"):
                failed = state == "failed" and parents.on_failure == "cancel"
                found.append(Link(stream.text, stream.id, parents.on_failure, failed))
        return found
