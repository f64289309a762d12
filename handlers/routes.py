"""The kinds of entries in the routing tables: a name leads to exactly one of these."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from domain.aggregate import Aggregate
from domain.ports import Metadata, StreamName, Work
from millrace.contracts.wire import DEFAULT_TENANT, Context, Message


class Moment(NamedTuple):
    """What a decision is told about its surroundings: time and ids are arguments, never looked up.

    Attributes:
        id: the aggregate's id.
        stream: the aggregate's stream id.
        head: newest position of the log, 0 where the route does not need it.
        epoch: names the log; position tokens carry it.
        read: the other aggregates that the route wants to know, by kind and id, as far as they exist.
        tenant: whose the aggregate is.
    """

    now: datetime
    id: str
    stream: str
    head: int
    epoch: str
    read: Mapping[tuple[str, str], Aggregate] = MappingProxyType({})
    tenant: str = DEFAULT_TENANT


class Beside(NamedTuple):
    """A new aggregate of another stream, with its pending events, and the inline rows that follow from it."""

    stream: StreamName
    aggregate: Aggregate
    work: Callable[[Any, str | None, Metadata], Work] | None = None


class Decided(NamedTuple):
    """The aggregate with its pending events (none when the wish is already fulfilled), and what the caller is told.

    Attributes:
        beside: what is stored with the events or not at all.
    """

    aggregate: Aggregate
    result: dict[str, Any]
    beside: Beside | None = None


@dataclass(frozen=True, slots=True)
class CommandRoute:
    """A command that one aggregate decides.

    Attributes:
        model: validates the body.
        aggregate: class of the aggregate.
        identify: the aggregate's id; by default derived from (tenant, command id), for commands that create.
        decide: guards and decides; raises a `Refusal`.
        creates: the aggregate is expected not to exist, so nothing is loaded at first.
        required: a missing aggregate is answered `not-found` before `decide` is asked.
        remembered: the answer goes into the inbox; false where repetition is harmless by itself.
        needs_head: the decision compares with the newest position, so it is read first.
        continues: the events keep the correlation of the aggregate's first event.
        work: inline rows that follow from the aggregate after its events and its status before.
        followed_by: the reader that must have passed the command's events before it is answered, 2 s at most, so that
            what they cause is there.
        resolve: what becomes of the command where another aggregate has the unique key that it wants: an answer without
            events, a `Refusal`, or None where it may go on; events that the other one records are stored with its own.
        lane: commands of one call that have the same lane are decided one after the other.
        glance: what the caller is told where the state in memory says that nothing is to be recorded; then nothing is
            loaded, locked or stored, and another process may know better. None where the command has to be decided.
        watched: the pipeline's watcher is told what was stored.
        reads: other aggregates that the decision is told of, as the store has them at this moment; it does not keep
            them from changing.
        verify: looks outside, before anything is locked, whether the command may be decided; raises a `Refusal`, which
            is not remembered. None is returned where there is nothing to look at.
        siblings: commands of one call may name each other; they are carried out in the order that follows.
    """

    model: type[Message]
    aggregate: type[Aggregate]
    decide: Callable[[Any, Any, Moment], Decided]
    identify: Callable[[Any, Context], str]
    creates: bool = False
    required: bool = True
    remembered: bool = True
    continues: bool = False
    needs_head: bool = False
    work: Callable[[Any, str | None, Metadata], Work] | None = None
    followed_by: str | None = None
    resolve: Callable[[Any, str, Any, Moment], Decided | None] | None = None
    lane: Callable[[Any], str | None] | None = None
    glance: Callable[[Any, Any, Context, datetime], dict[str, Any] | None] | None = None
    reads: Callable[[Any, Context], Mapping[StreamName, type[Aggregate]]] | None = None
    verify: Callable[[Any, Context], Awaitable[None] | None] | None = None
    siblings: bool = False
    watched: bool = False


@dataclass(frozen=True, slots=True)
class OperationRoute:
    """A command that no aggregate decides, such as a claim: it is carried out each time it arrives."""

    model: type[Message]
    perform: Callable[[Any, Context], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class QueryRoute:
    """A question to a read model or to the log.

    Attributes:
        reader: the projection whose position `min_position` is compared with; None where the store itself is read.
    """

    model: type[Message]
    answer: Callable[[Any, Context], Awaitable[dict[str, Any]]]
    reader: str | None = None
