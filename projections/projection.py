"""What every asynchronous projection is: events in, rows out, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from domain.aggregate import Unreadable
from domain.ports import RecordedEvent

if TYPE_CHECKING:
    # The stubs make these generic, the library does not.
    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
else:
    Connection = asyncpg.Connection | PoolConnectionProxy


class Projection(Protocol):
    """A read model in versioned tables, so that it can be rebuilt beside the live one.

    Everything runs on a connection and in a transaction of the caller's, who saves the position with the rows. There is
    no way to emit anything from here.

    Attributes:
        kinds: the kinds of aggregates whose events it digests; the others' are not handed to it.
        views: the public names of the tables, without a version.
    """

    name: str
    kinds: frozenset[str]
    views: tuple[str, ...]

    async def create(self, connection: Connection, version: int) -> None:
        """Makes the version's empty tables, if they are not there."""
        ...

    async def publish(self, connection: Connection, version: int) -> None:
        """Points the public views at the version's tables."""
        ...

    async def drop(self, connection: Connection, version: int) -> None:
        """Drops the version's tables."""
        ...

    async def apply(self, connection: Connection, version: int, events: Sequence[RecordedEvent]) -> None:
        """Folds events, in order, into the version's rows."""
        ...

    def forget(self) -> None:
        """Drops whatever is remembered of rows: the transaction of the last `apply` did not commit."""
        ...

    def tables(self, version: int) -> Sequence[str]:
        """The version's tables, for digests."""
        ...


class Statement(NamedTuple):
    """What follows from a page of events, as the rest of a statement that begins by moving the reader on.

    Attributes:
        text: common table expressions and a last command, which changes at least one row exactly if `moved` has one.
            Parameters are numbered from 5 on.
    """

    text: str
    parameters: tuple[Any, ...]


@runtime_checkable
class AtOnce(Protocol):
    """A projection that can write what happens most in one statement, a transaction by itself: one way to the server
    and back instead of five, which is how much sooner the newest rows can be read."""

    async def at_once(self, connection: Connection, version: int, events: Sequence[RecordedEvent]) -> Statement | None:
        """The statement, or None where these events need `apply`.

        Afterwards the rows count as written: whoever does not run it, or finds that it changed nothing, calls `forget`.
        """
        ...


def events_of(kind: str, events: Sequence[RecordedEvent]) -> list[RecordedEvent]:
    """The events of one kind of aggregate.

    Raises:
        UnreadableHistory: one of them could not be decoded.
    """
    own = [recorded for recorded in events if recorded.stream.kind == kind]
    for recorded in own:
        if isinstance(recorded.event, Unreadable):
            recorded.event.apply(None)
    return own


async def digest(connection: Connection, tables: Sequence[str]) -> str:
    """A digest of all rows of the tables, whatever their order: equal tables have equal digests."""
    parts = []
    for table in tables:
        row = await connection.fetchrow(
            "SELECT count(*) AS n, coalesce(sum(('x' || substr(md5(t::text), 1, 15))::bit(60)::bigint), 0) AS total"
            f" FROM {table} AS t"
        )
        assert row is not None
        parts.append(f"{row['n']}:{row['total']}")
    return "/".join(parts)
