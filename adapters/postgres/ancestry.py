"""Which progress is a part of which, as the append lock shows it: none becomes a part of itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adapters.postgres.bindings import parts_of
from adapters.postgres.database import Connection
from domain.ports import Append, PartOfItself, PartTooDeep, StreamName
from domain.progress import KIND
from domain.progress_children import MOST_WHOLES
from domain.progress_events import Created, Removed

Key = tuple[str, str]

# A line is no longer than what is allowed, and one step more, which is how a longer one is told.
ABOVE = """
WITH RECURSIVE above(tenant, id, parent_id, depth) AS (
    SELECT p.tenant, p.id, p.parent_id, 1 FROM unnest($1::text[], $2::text[]) AS k(tenant, id)
      JOIN progress_parents p ON p.tenant = k.tenant AND p.id = k.id
     UNION
    SELECT p.tenant, p.id, p.parent_id, a.depth + 1 FROM above a
      JOIN progress_parents p ON p.tenant = a.tenant AND p.id = a.parent_id
     WHERE a.depth < $3)
SELECT DISTINCT tenant, id, parent_id FROM above
"""
LEAVE = """
DELETE FROM progress_parents p USING unnest($1::text[], $2::text[]) AS k(tenant, id)
 WHERE p.tenant = k.tenant AND p.id = k.id
"""
JOIN = """
INSERT INTO progress_parents (tenant, id, parent_id) SELECT * FROM unnest($1::text[], $2::text[], $3::text[])
    ON CONFLICT (tenant, id) DO UPDATE SET parent_id = excluded.parent_id
"""


def is_related(append: Append) -> bool:
    """Whether the append makes a progress a part of another one, or ends that."""
    return any(True for _ in _turns(append))


class Ancestry:
    """The wholes above some progress, in the database and after the appends of the batch that were noted so far."""

    def __init__(self, parents: dict[Key, str]) -> None:
        self._parents = parents
        self._changed: dict[Key, str | None] = {}

    @classmethod
    async def looked_up(cls, connection: Connection, appends: Sequence[Append]) -> Ancestry:
        """The wholes above those that the appends are about."""
        wanted = {
            (stream.tenant, parent) for append in appends for stream, parent in _turns(append) if parent is not None
        }
        rows = await connection.fetch(ABOVE, *zip(*wanted, strict=True), MOST_WHOLES) if wanted else []
        return cls({(row["tenant"], row["id"]): row["parent_id"] for row in rows})

    def objection(self, append: Append) -> PartOfItself | PartTooDeep | None:
        """What forbids to store the append now."""
        for stream, parent in _turns(append):
            line, next_ = [stream.id], parent
            while next_ is not None:
                line.append(next_)
                if next_ == stream.id:
                    return PartOfItself(tuple(line))
                if len(line) > MOST_WHOLES + 1:
                    return PartTooDeep(stream.id)
                next_ = self._parents.get((stream.tenant, next_))
        return None

    def note(self, append: Append) -> None:
        """The append will be stored: what comes after it in the batch stands on it."""
        for stream, parent in _turns(append):
            key = stream.tenant, stream.id
            self._changed[key] = parent
            if parent is None:
                self._parents.pop(key, None)
            else:
                self._parents[key] = parent

    async def save(self, connection: Connection) -> None:
        """Writes what was noted, in the transaction that stores the appends."""
        left = [key for key, parent in self._changed.items() if parent is None]
        joined = [(*key, parent) for key, parent in self._changed.items() if parent is not None]
        if left:
            await connection.execute(LEAVE, *zip(*left, strict=True))
        if joined:
            await connection.execute(JOIN, *zip(*joined, strict=True))


def _turns(append: Append) -> Iterator[tuple[StreamName, str | None]]:
    """The progress that the append makes a part of another one, with that, or that stands alone from now on."""
    for part in parts_of(append):
        if part.stream is None or part.stream.kind != KIND:
            continue
        for event in part.events:
            match event:
                case Created(parent_id=parent, originator_version=version) if parent is not None or version > 1:
                    yield part.stream, parent
                case Removed():
                    yield part.stream, None
                case _:
                    continue
