"""The path of a command: validate, load, decide, append, answer. Batches travel it together, in as few steps as one."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import assert_never

import structlog
from pydantic import ValidationError
from pydantic_core import from_json, to_json

from domain.aggregate import Aggregate, Event
from domain.errors import BatchIsSealed, DuplicateJob, Refusal, UnknownBatch, UnknownParents, UnreadableHistory
from domain.ports import (
    Append,
    Appended,
    BatchClosed,
    Clock,
    CommandKey,
    Conflict,
    Duplicate,
    EventStore,
    KeyTaken,
    Metadata,
    Outcome,
    ParentsMissing,
    Rejected,
    StoreOverloaded,
    StoreUnavailable,
    StreamName,
    Work,
)
from handlers.aggregates import Aggregates, Held
from handlers.problems import invalid, problem, refused
from handlers.routes import CommandRoute, Moment
from handlers.storable import Unstorable, storable
from millrace.contracts.wire import Accepted, Context, Message, Problem, Refused, Token

Answer = Accepted | Refused
MAX_DECISIONS = 10
CHUNK = 1_000

log = structlog.get_logger("commands")


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


class _InFlight:
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


class OvertakenCopy(Exception):
    """Raised when a decision must be made anew on a state that is looked up, not remembered."""


class Pipeline:
    """Executes commands that aggregates decide. Never raises for what a caller did wrong: that is a `Refused`.

    Args:
        watch: is told of each stored command whose route is watched: the tenant, the aggregate, its new events.
    """

    def __init__(
        self,
        routes: Mapping[str, CommandRoute],
        store: EventStore,
        aggregates: Aggregates,
        clock: Clock,
        epoch: str,
        watch: Callable[[str, Aggregate, Sequence[Event]], None] | None = None,
    ) -> None:
        self._watch = watch
        self._routes, self._store, self._aggregates = routes, store, aggregates
        self._clock, self._epoch = clock, epoch
        self._in_flight: dict[tuple[str, str, str], _InFlight] = {}

    async def execute(self, name: str, bodies: Sequence[tuple[object, Context]]) -> list[Answer]:
        """Carries out commands of one name, each on its own: one that is refused harms no other.

        Commands on one aggregate are carried out in the order given.
        """
        answers: list[Answer | None] = [None] * len(bodies)
        items: list[tuple[int, Item]] = []
        followers: list[tuple[int, asyncio.Future[Answer]]] = []
        for index, (body, context) in enumerate(bodies):
            made = self._item(name, body, context)
            if isinstance(made, Refused):
                answers[index] = made
                continue
            if made.key is None:
                items.append((index, made))
            elif (running := self._in_flight.get(made.key.identity)) is None:
                self._in_flight[made.key.identity] = _InFlight(made.key.body_hash)
                items.append((index, made))
            elif running.body_hash == made.key.body_hash:
                followers.append((index, running.joined()))
            else:
                answers[index] = _mismatch()
        try:
            for start in range(0, len(items), CHUNK):
                await self._carry_out([item for _, item in items[start : start + CHUNK]])
            for index, item in items:
                answers[index] = item.answer
        finally:
            for index, item in items:
                if item.key is not None:
                    running = self._in_flight.pop(item.key.identity)
                    running.end(answers[index] or refused("unavailable", "interrupted; repeat", retry_after=1.0))
        for index, done in followers:
            answers[index] = await done
        return [answer or refused("internal", "no answer was made") for answer in answers]

    async def execute_internal(
        self, name: str, body: Message, context: Context, lapsed_attempt: int | None = None
    ) -> Answer:
        """One command from inside the service; with `lapsed_attempt` it only holds while that lease has lapsed."""
        made = self._item(name, body, context)
        if isinstance(made, Refused):
            return made
        made.lapsed_attempt = lapsed_attempt
        await self._carry_out([made])
        return made.answer or refused("internal", "no answer was made")

    def _item(self, name: str, body: object, context: Context) -> Item | Refused:
        route = self._routes[name]
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

    async def _carry_out(self, items: Sequence[Item]) -> None:
        try:
            waiting = list(items)
            while waiting := [item for item in waiting if not self._glanced(item)]:
                # Each round takes one command of each stream and of each lane, the oldest.
                round_: dict[StreamName, Item] = {}
                rest = []
                lanes = set()
                for item in waiting:
                    if item.stream in round_ or (item.lane is not None and item.lane in lanes):
                        rest.append(item)
                    else:
                        round_[item.stream] = item
                        if item.lane is not None:
                            lanes.add(item.lane)
                changing = {stream for stream, item in round_.items() if not item.route.creates}
                changing.update(item.rival for item in round_.values() if item.rival is not None)
                async with self._aggregates.locked(changing):
                    again = await self._round(list(round_.values()))
                waiting = again + rest
                if again:
                    await asyncio.sleep(random.uniform(0, 0.002) * again[0].decisions)
        except (StoreUnavailable, StoreOverloaded) as error:
            self._forget(items)
            for item in items:
                item.answer = item.answer or refused("unavailable", str(error), retry_after=1.0)
        except BaseException:
            self._forget(items)
            raise

    def _glanced(self, item: Item) -> bool:
        """Whether the command is answered from memory. A state that somebody is changing is not looked at: what he
        records may not come to be stored."""
        if item.route.glance is None or self._aggregates.is_locked(item.stream):
            return False
        held = self._aggregates.get(item.stream)
        return held is not None and self._glance(item, held, self._clock.now())

    def _glance(self, item: Item, held: Held, now: datetime) -> bool:
        told = item.route.glance(held.aggregate, item.command, item.context, now) if item.route.glance else None
        if told is not None:
            item.answer = Accepted(told)
        return told is not None

    def _forget(self, items: Sequence[Item]) -> None:
        for item in items:
            self._aggregates.evict(item.stream)
            if item.rival is not None:
                self._aggregates.evict(item.rival)

    async def _round(self, items: Sequence[Item]) -> list[Item]:
        """Loads, decides and appends for items of different streams; returns those that must be decided anew."""
        known = {item.stream: item.route.aggregate for item in items if not item.route.creates or item.decisions}
        for item in items:
            if item.rival is not None:
                self._aggregates.evict(item.rival)
                known[item.rival] = item.route.aggregate
        looked_up: dict[StreamName, UnreadableHistory | None] = {}
        if known:
            looked_up = await self._aggregates.load(list(known), known)
        head = await self._store.head() if any(item.route.needs_head for item in items) else 0
        unreadable_beside = await self._read_beside([item for item in items if item.route.reads is not None])
        now = self._clock.now()
        appends: list[tuple[Item, Append, Held | None]] = []
        again: list[Item] = []
        for item in items:
            if unreadable := (
                looked_up.get(item.stream)
                or (item.rival and looked_up.get(item.rival))
                or unreadable_beside.get(item.stream)
            ):
                item.answer = Refused(problem(unreadable.code, str(unreadable)))
                continue
            try:
                decided = self._decide(item, now, head, item.stream in looked_up)
            except OvertakenCopy:
                self._aggregates.evict(item.stream)
                again.append(item)
                continue
            if decided is not None:
                appends.append((item, *decided))
        with self._aggregates.expecting(item.stream for item, _, _ in appends if item.route.creates):
            try:
                outcomes = await self._store.append([append for _, append, _ in appends]) if appends else []
            except BaseException:
                # What was decided is no answer before it is stored.
                for item, _, _ in appends:
                    item.answer = None
                raise
            for (item, append, held), outcome in zip(appends, outcomes, strict=True):
                if not self._settle(item, append, held, outcome):
                    again.append(item)
        return again

    async def _read_beside(self, items: Sequence[Item]) -> dict[StreamName, UnreadableHistory]:
        """Looks up what the decisions are told of besides their own aggregates, all at once; never what is remembered,
        which another process may have overtaken. Returns what made it unreadable, by the streams of the commands."""
        wanted = {
            item.stream: item.route.reads(item.command, item.context) for item in items if item.route.reads is not None
        }
        streams = {stream for classes in wanted.values() for stream in classes}
        loaded = await self._store.load(list(streams)) if streams else {}
        unreadable: dict[StreamName, UnreadableHistory] = {}
        for item in items:
            item.read = {}
            for stream, cls in wanted[item.stream].items():
                found = loaded.get(stream)
                try:
                    aggregate = cls.replayed(found.events, found.snapshot) if found is not None else None
                except UnreadableHistory as error:
                    unreadable[item.stream] = error
                    continue
                if aggregate is not None:
                    item.read[stream.kind, stream.id] = aggregate
        return unreadable

    def _decide(self, item: Item, now: datetime, head: int, looked_up: bool) -> tuple[Append, Held | None] | None:
        """The append that the command comes to; None where it is answered already.

        Raises:
            OvertakenCopy: the answer would be "no" or "nothing to do", but rests on a state kept in memory that another
                process may have overtaken. Events need no such care: their version is checked when they are appended.
        """
        route, context = item.route, item.context
        item.decisions += 1
        held = self._aggregates.get(item.stream) if not route.creates or item.decisions > 1 else None
        before = held.aggregate.version if held else 0
        status = getattr(held.aggregate, "status", None) if held else None
        rival = self._aggregates.get(item.rival) if item.rival is not None else None
        rival_before = (rival.aggregate.version, getattr(rival.aggregate, "status", None)) if rival else (0, None)
        try:
            if held is None and route.required:
                if not looked_up:
                    # It was dropped from memory after this round had looked what to load.
                    raise OvertakenCopy
                item.answer = refused("not-found", f"there is no {item.stream.kind} {item.stream.id!r}")
                return None
            if item.objection is not None:
                raise item.objection
            if held is not None and self._glance(item, held, now):
                return None
            moment = Moment(now, item.stream.id, item.stream.text, head, self._epoch, item.read)
            decided = None
            if rival is not None and item.rival is not None and route.resolve is not None:
                decided = route.resolve(rival.aggregate, item.rival.id, item.command, moment)
            if decided is None:
                decided = route.decide(held.aggregate if held else None, item.command, moment)
            else:
                held = rival
        except Refusal as refusal:
            if held is not None and not looked_up:
                raise OvertakenCopy from refusal
            item.answer = Refused(problem(refusal.code, str(refusal), **refusal.extra))
            if item.key is None or refusal.code in ("reset", "invalid"):
                return None
            item.text = to_json({"error": item.answer.problem.model_dump()}).decode()
            return Append(None, 0, (), Metadata(context.tenant), item.key, item.text), held
        aggregate = decided.aggregate
        events = aggregate.collected()
        if not events and held is not None and not looked_up:
            raise OvertakenCopy
        item.answer = Accepted(decided.result)
        item.text = to_json({"result": decided.result}).decode() if item.key else ""
        meta = self._metadata(context, held.origin if held and route.continues else None)
        origin = held.origin if held else meta
        if not events:
            position = held.position if held else None
            item.answer = Accepted(decided.result, self._token(position))
            if item.key is None:
                return None
            return Append(None, 0, (), meta, item.key, item.text), held
        work = route.work(aggregate, status, origin) if route.work else None
        also = self._replaced(item, rival, *rival_before) if rival is not None else None
        if decided.beside is not None:
            stream, other, work_beside = decided.beside
            first = self._metadata(context, origin)
            rows = work_beside(other, None, first) if work_beside is not None else None
            also = Append(stream, 0, other.collected(), first, work=rows)
        append = Append(item.stream, before, events, meta, item.key, item.text, work, item.lapsed_attempt, also)
        return append, Held(aggregate, origin, 0)

    def _replaced(self, item: Item, rival: Held, version: int, status: str | None) -> Append | None:
        """What the rival, which had that version and status, has recorded to make room."""
        events = rival.aggregate.collected()
        if not events or item.rival is None:
            return None
        work = item.route.work(rival.aggregate, status, rival.origin) if item.route.work else None
        return Append(item.rival, version, events, self._metadata(item.context, rival.origin), work=work)

    def _settle(self, item: Item, append: Append, held: Held | None, outcome: Outcome) -> bool:
        """Turns an outcome into the answer; false where the command must be decided anew."""
        if item.rival is not None:
            self._aggregates.evict(item.rival)
        match outcome:
            case Appended(position):
                if append.stream is not None and held is not None and position is not None:
                    held.position = position
                    self._remember(item.stream, held, append.work)
                    if item.route.watched and self._watch is not None:
                        self._watch(item.stream.tenant, held.aggregate, append.events)
                if isinstance(item.answer, Accepted) and position is not None:
                    item.answer = Accepted(item.answer.result, self._token(position))
                return True
            case Duplicate(answer, position, same_body):
                self._aggregates.evict(item.stream)
                item.answer = self._remembered(answer, position) if same_body else _mismatch()
                return True
            case Conflict():
                self._aggregates.evict(item.stream)
                return self._given_up(item)
            case KeyTaken(holder):
                self._aggregates.evict(item.stream)
                if item.route.resolve is None and append.work is not None and append.work.unique is not None:
                    item.objection = DuplicateJob(append.work.unique.key, holder.id)
                item.rival = holder
                return self._given_up(item)
            case ParentsMissing(job_ids):
                item.objection = UnknownParents(job_ids)
                return self._given_up(item)
            case BatchClosed(batch_id, exists):
                item.objection = BatchIsSealed(batch_id) if exists else UnknownBatch(batch_id)
                return self._given_up(item)
            case Rejected(reason):
                self._aggregates.evict(item.stream)
                log.error("append rejected", action="append_rejected", command=item.name, reason=reason)
                item.answer = refused("internal", "the command could not be stored; it was not carried out")
                return True
            case _:
                assert_never(outcome)

    def _given_up(self, item: Item) -> bool:
        """Whether the command is not decided anew any more; then that is its answer."""
        item.answer = None
        if item.lapsed_attempt is None and item.decisions < MAX_DECISIONS:
            return False
        item.answer = refused("conflict", "others kept changing it; try again", retry_after=0.1)
        return True

    def _remember(self, stream: StreamName, held: Held, work: Work | None) -> None:
        """Keeps the aggregate for its next command, unless hardly any is to be expected."""
        if held.aggregate.ended:
            self._aggregates.evict(stream)
            return
        if work is not None:
            held.weight = max(held.weight, len(work.task))
        self._aggregates.keep(stream, held)

    def _metadata(self, context: Context, origin: Metadata | None = None) -> Metadata:
        return Metadata(
            tenant=context.tenant,
            company=origin.company if origin else context.company,
            correlation_id=origin.correlation_id if origin else context.correlation_id or context.message_id,
            causation_id=context.causation_id or context.message_id,
            actor=context.actor,
            traceparent=origin.traceparent if origin else context.traceparent,
        )

    def _token(self, position: int | None) -> str | None:
        return None if position is None else Token.text(self._epoch, position)

    def _remembered(self, text: str, position: int | None) -> Answer:
        stored = from_json(text)
        if "error" in stored:
            return Refused(Problem(**stored["error"]))
        return Accepted(stored["result"], self._token(position))


def _mismatch() -> Refused:
    return refused(
        "idempotency-mismatch",
        "this message id was used before with another body; a new command needs an id of its own",
    )
