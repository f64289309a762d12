"""Deciding: what a command comes to, given the states that it rests on. Nothing is stored here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydantic_core import to_json

from domain.errors import Refusal, UnreadableHistory
from domain.ports import Append, EventStore, Metadata, StreamName
from handlers.aggregates import Aggregates, Held
from handlers.pipeline_items import Item, OvertakenCopy
from handlers.problems import problem, refused
from handlers.routes import Moment
from millrace.contracts.wire import Accepted, Context, Refused, Token


class Decisions:
    """Makes the pipeline's decisions on the aggregates in memory."""

    def __init__(self, store: EventStore, aggregates: Aggregates, epoch: str) -> None:
        self._store, self._aggregates, self._epoch = store, aggregates, epoch

    def decide(self, item: Item, now: datetime, head: int, looked_up: bool) -> tuple[Append, Held | None] | None:
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
            if held is not None and self.glance(item, held, now):
                return None
            moment = Moment(now, item.stream.id, item.stream.text, head, self._epoch, item.read, context.tenant)
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
        meta = _metadata(context, held.origin if held and route.continues else None)
        origin = held.origin if held else meta
        if not events:
            position = held.position if held else None
            item.answer = Accepted(decided.result, token(self._epoch, position))
            if item.key is None:
                return None
            return Append(None, 0, (), meta, item.key, item.text), held
        work = route.work(aggregate, status, origin) if route.work else None
        also = self._replaced(item, rival, *rival_before) if rival is not None else None
        if decided.beside is not None:
            stream, other, work_beside = decided.beside
            first = _metadata(context, origin)
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
        return Append(item.rival, version, events, _metadata(item.context, rival.origin), work=work)

    def glance(self, item: Item, held: Held, now: datetime) -> bool:
        """Whether the state in memory says all that there is to answer; then that is the answer."""
        told = item.route.glance(held.aggregate, item.command, item.context, now) if item.route.glance else None
        if told is not None:
            item.answer = Accepted(told)
        return told is not None

    async def read_beside(self, items: Sequence[Item]) -> dict[StreamName, UnreadableHistory]:
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


def _metadata(context: Context, origin: Metadata | None = None) -> Metadata:
    cause = context.causation_id or context.message_id
    if origin is None:
        correlation_id = context.correlation_id or context.message_id
        return Metadata(context.tenant, context.company, correlation_id, cause, context.actor, context.traceparent)
    return Metadata(context.tenant, origin.company, origin.correlation_id, cause, context.actor, origin.traceparent)


def token(epoch: str, position: int | None) -> str | None:
    """The position token of an answer, where something was recorded."""
    return None if position is None else Token.text(epoch, position)
