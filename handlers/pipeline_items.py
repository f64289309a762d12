"""A command on its way through the pipeline: what it is made from, when its turn is, and who waits for its answer."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from domain.aggregate import Aggregate
from domain.errors import Refusal
from domain.ports import CommandKey, StreamName
from handlers.problems import invalid, problem, refused
from handlers.routes import CommandRoute
from millrace.contracts.storable import Unstorable, storable
from millrace.contracts.wire import Accepted, Context, Message, Refused

Answer = Accepted | Refused


@dataclass(slots=True)
class Item:
    """One command on its way through the pipeline.

    Attributes:
        rival: the aggregate that has the unique key which the command's own one wants.
        objection: what the store had against it, to be answered and remembered.
        read: other aggregates that its decision is told of.
    """

    name: str
    route: CommandRoute
    command: Message
    context: Context
    key: CommandKey | None
    stream: StreamName
    lapsed_attempt: int | None = None
    decisions: int = 0
    answer: Answer | None = None
    text: str = ""
    lane: str | None = None
    rival: StreamName | None = None
    objection: Refusal | None = None
    read: dict[tuple[str, str], Aggregate] = field(default_factory=dict)


class InFlight:
    """A command that is being carried out; copies of it wait for the one answer."""

    __slots__ = ("_done", "body_hash")

    def __init__(self, body_hash: bytes) -> None:
        self.body_hash = body_hash
        self._done: asyncio.Future[Answer] | None = None

    def joined(self) -> asyncio.Future[Answer]:
        """Where the answer will be."""
        if self._done is None:
            self._done = asyncio.get_running_loop().create_future()
        return self._done

    def end(self, answer: Answer) -> None:
        if self._done is not None:
            self._done.set_result(answer)


def item_of(name: str, route: CommandRoute, body: object, context: Context) -> Item | Refused:
    """The command of a body, or what is wrong with it."""
    try:
        command = body if isinstance(body, Message) else route.model.model_validate(body)
    except ValidationError as error:
        return invalid(error)
    try:
        encoded = storable(command, context)
    except Unstorable as error:
        return refused("invalid", str(error))
    key = None
    if route.remembered:
        digest = hashlib.blake2b(name.encode() + b"\n" + encoded, digest_size=16).digest()
        key = CommandKey(context.tenant, context.principal, context.message_id, digest)
    stream = StreamName(route.aggregate.KIND, context.tenant, route.identify(command, context))
    lane = None if route.lane is None else route.lane(command)
    return Item(name, route, command, context, key, stream, lane=lane)


def next_round(waiting: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """One command of each stream and of each lane, the oldest; and the rest, whose turn comes later."""
    oldest: list[Item] = []
    rest: list[Item] = []
    streams: set[StreamName] = set()
    lanes: set[str] = set()
    for item in waiting:
        if item.stream in streams or (item.lane is not None and item.lane in lanes):
            rest.append(item)
            continue
        oldest.append(item)
        streams.add(item.stream)
        if item.lane is not None:
            lanes.add(item.lane)
    return oldest, rest


async def verified(items: Sequence[Item]) -> list[Item]:
    """The commands that may be decided as far as what lies outside is concerned; the others have their answer."""

    async def look(item: Item, looking: Awaitable[None]) -> None:
        try:
            await looking
        except Refusal as refusal:
            item.answer = Refused(problem(refusal.code, str(refusal), **refusal.extra))

    looks = [
        (item, looking)
        for item in items
        if item.route.verify is not None and (looking := item.route.verify(item.command, item.context)) is not None
    ]
    if not looks:
        return list(items)
    await asyncio.gather(*(look(item, looking) for item, looking in looks))
    return [item for item in items if item.answer is None]


class OvertakenCopy(Exception):
    """Raised when a decision must be made anew on a state that is looked up, not remembered."""
