"""The path of a command: validate, load, decide, append, answer. Batches travel it together, in as few steps as one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from typing import assert_never

import structlog
from pydantic_core import from_json

from domain.aggregate import Aggregate, Event
from domain.errors import BatchIsSealed, DuplicateJob, UnknownBatch, UnknownParents, UnreadableHistory
from domain.ports import (
    Append,
    Appended,
    BatchClosed,
    Clock,
    Conflict,
    Duplicate,
    EventStore,
    KeyTaken,
    Outcome,
    ParentsMissing,
    PartOfItself,
    PartTooDeep,
    Rejected,
    StoreOverloaded,
    StoreUnavailable,
    StreamName,
    Work,
)
from domain.progress_children import MOST_WHOLES
from domain.progress_errors import ProgressRing, TooManyWholes
from handlers.aggregates import Aggregates, Held
from handlers.decisions import Decisions, token
from handlers.pipeline_items import Answer, InFlight, Item, OvertakenCopy, item_of, next_round, verified
from handlers.problems import problem, refused
from handlers.routes import CommandRoute
from millrace.contracts.wire import Accepted, Context, Message, Problem, Refused

MAX_DECISIONS = 10
CHUNK = 1_000

log = structlog.get_logger("commands")


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
        self._decisions = Decisions(store, aggregates, epoch)
        self._in_flight: dict[tuple[str, str, str], InFlight] = {}

    async def execute(self, name: str, bodies: Sequence[tuple[object, Context]]) -> list[Answer]:
        """Carries out commands of one name, each on its own: one that is refused harms no other.

        Commands on one aggregate are carried out in the order given.
        """
        answers: list[Answer | None] = [None] * len(bodies)
        items: list[tuple[int, Item]] = []
        followers: list[tuple[int, asyncio.Future[Answer]]] = []
        for index, (body, context) in enumerate(bodies):
            made = item_of(name, self._routes[name], body, context)
            if isinstance(made, Refused):
                answers[index] = made
                continue
            if made.key is None:
                items.append((index, made))
            elif (running := self._in_flight.get(made.key.identity)) is None:
                self._in_flight[made.key.identity] = InFlight(made.key.body_hash)
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
        made = item_of(name, self._routes[name], body, context)
        if isinstance(made, Refused):
            return made
        made.lapsed_attempt = lapsed_attempt
        await self._carry_out([made])
        return made.answer or refused("internal", "no answer was made")

    async def _carry_out(self, items: Sequence[Item]) -> None:
        try:
            waiting = await verified(items)
            while waiting := [item for item in waiting if not self._glanced(item)]:
                oldest, rest = next_round(waiting)
                changing = {item.stream for item in oldest if not item.route.creates}
                changing.update(item.rival for item in oldest if item.rival is not None)
                async with self._aggregates.locked(changing):
                    again = await self._round(oldest)
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
        return held is not None and self._decisions.glance(item, held, self._clock.now())

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
        unreadable_beside = await self._decisions.read_beside([item for item in items if item.route.reads is not None])
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
                decided = self._decisions.decide(item, now, head, item.stream in looked_up)
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
                    item.answer = Accepted(item.answer.result, token(self._epoch, position))
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
            case PartOfItself(ring):
                self._aggregates.evict(item.stream)
                item.objection = ProgressRing(ring)
                return self._given_up(item)
            case PartTooDeep():
                self._aggregates.evict(item.stream)
                item.objection = TooManyWholes(MOST_WHOLES)
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

    def _remembered(self, text: str, position: int | None) -> Answer:
        stored = from_json(text)
        if "error" in stored:
            return Refused(Problem(**stored["error"]))
        return Accepted(stored["result"], token(self._epoch, position))


def _mismatch() -> Refused:
    return refused(
        "idempotency-mismatch",
        "this message id was used before with another body; a new command needs an id of its own",
    )
