"""Reactions: events in, commands out. The process managers of the system.

1. A page of events is read from the store after the saved position.
2. For each event, in order, the reaction names commands; their ids derive from (event id, reaction, index).
3. The commands go through the ordinary pipeline, whose inbox rows make a repeated step harmless.
4. The position is saved after all of the page's commands are committed; that a page concerned nobody, now and then.

A crash between 3 and 4 repeats commands that are known already. Nothing runs in a rebuild: rebuilds never come here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass

import structlog

from domain.aggregate import Unreadable
from domain.ports import Doorbell, EventStore, Readers, RecordedEvent, StoreUnavailable, StreamName
from handlers.persistence import persistently
from handlers.pipeline import Pipeline
from millrace.contracts.wire import Context, Message, Refused

PAGE = 500
POLL_SECONDS = 1.0
SAVE_AT_LAST_SECONDS = 1.0
ATTEMPTS = 3
log = structlog.get_logger("reactions")


@dataclass(frozen=True, slots=True)
class Reaction:
    """What follows from events.

    Attributes:
        name: durable name of its position; renaming it starts a new one.
        react: the commands, by name and body, that follow from one event; none for events it does not care about. One
            that has to look something up is an asynchronous generator.
        from_beginning: a new reaction begins at the head of the log, as of the first process that knows it, unless this
            is set.
        kinds: the kinds of aggregates whose events it is shown; None for all.
        beside: whether events of different streams may be reacted to beside each other; those of one never are.
    """

    name: str
    react: Callable[[RecordedEvent], Sequence[tuple[str, Message]] | AsyncIterator[tuple[str, Message]]]
    from_beginning: bool = False
    kinds: frozenset[str] | None = None
    beside: bool = False


async def place_new(reactions: Iterable[Reaction], store: EventStore, readers: Readers) -> None:
    """Gives each reaction that is new its first position.

    Every process does so before it accepts anything, also one that will not run them: they would begin at what is the
    head once somebody does, and what was accepted until then would pass them by. So all processes are given the same.
    """
    for reaction in reactions:
        await _place(reaction, store, readers)


async def _place(reaction: Reaction, store: EventStore, readers: Readers) -> None:
    await readers.ensure(_reader_of(reaction), 0 if reaction.from_beginning else await store.head())


def _reader_of(reaction: Reaction) -> str:
    return f"reaction:{reaction.name}"


class Reactor:
    """Runs one reaction, while this process leads it."""

    def __init__(
        self,
        reaction: Reaction,
        store: EventStore,
        readers: Readers,
        doorbell: Doorbell,
        pipeline: Pipeline,
        on_advance: Callable[[str, int], None],
    ) -> None:
        self._reaction, self._store, self._readers = reaction, store, readers
        self._doorbell, self._pipeline, self._on_advance = doorbell, pipeline, on_advance
        self._reader = _reader_of(reaction)
        self._failures = 0

    async def run(self) -> None:
        """Runs until cancelled."""
        await persistently(self._reader, self._lead, pause=0.1)

    async def _lead(self) -> None:
        # Again: without its row it would read the whole log, and a crash of the server may have forgotten that.
        await _place(self._reaction, self._store, self._readers)
        async with self._readers.leadership(self._reader):
            saved = scanned = await self._readers.position(self._reader)
            due = 0.0
            while True:
                await self._doorbell.wait(scanned, POLL_SECONDS, self._reaction.kinds)
                events = await self._store.read(scanned, PAGE)
                own = self._shown(events)
                if own:
                    await self._react_to(own, scanned)
                quiet = not events
                if events:
                    scanned = events[-1].position
                if own or (scanned > saved and (quiet or time.monotonic() >= due)):
                    await self._readers.advance(self._reader, scanned)
                    self._on_advance(self._reader, scanned)
                    saved, due = scanned, time.monotonic() + SAVE_AT_LAST_SECONDS

    def _shown(self, events: Sequence[RecordedEvent]) -> Sequence[RecordedEvent]:
        kinds = self._reaction.kinds
        return events if kinds is None else [event for event in events if event.stream.kind in kinds]

    async def _react_to(self, events: Sequence[RecordedEvent], done: int) -> None:
        held = await self._readers.held_streams(self._reader)
        wanted = [event for event in events if event.stream.text not in held]
        if self._reaction.beside and await self._react_beside(wanted):
            return
        for event in wanted:
            if event.stream.text not in held and not await self._react_or_hold(event, done):
                held.add(event.stream.text)
            done = event.position

    async def _react_beside(self, events: Sequence[RecordedEvent]) -> bool:
        """All streams at once, each in its order; false where an event could not be digested, and nobody knows which.

        Raises:
            StoreUnavailable: nothing more can be done now.
        """
        streams: dict[StreamName, list[RecordedEvent]] = {}
        for event in events:
            streams.setdefault(event.stream, []).append(event)

        async def react(own: Sequence[RecordedEvent]) -> None:
            for event in own:
                await self._react(event)

        outcomes = await asyncio.gather(*map(react, streams.values()), return_exceptions=True)
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        for failure in failures:
            if isinstance(failure, StoreUnavailable):
                raise failure
        return not failures

    async def _react_or_hold(self, event: RecordedEvent, done: int) -> bool:
        """False where the event could not be digested and its stream is held from now on."""
        try:
            await self._react(event)
            self._failures = 0
            return True
        except StoreUnavailable:
            raise
        except Exception as error:
            self._failures += 1
            await self._readers.advance(self._reader, done)
            if self._failures < ATTEMPTS:
                raise
            self._failures = 0
            await self._readers.hold(self._reader, event.stream, event.position, repr(error))
            log.error(
                "stream held",
                action="stream_held",
                reader=self._reader,
                stream=event.stream.text,
                position=event.position,
                error=repr(error),
            )
            return False

    async def _react(self, event: RecordedEvent) -> None:
        if isinstance(event.event, Unreadable):
            event.event.apply(None)
        meta, index = event.metadata, -1
        async for name, body in _one_by_one(self._reaction.react(event)):
            index += 1
            context = Context(
                tenant=meta.tenant,
                message_id=f"{event.event_id}/{self._reaction.name}/{index}",
                principal="millrace",
                company=meta.company,
                correlation_id=meta.correlation_id,
                causation_id=event.event_id,
                actor=meta.actor,
                traceparent=meta.traceparent,
            )
            answer = await self._pipeline.execute_internal(name, body, context)
            if isinstance(answer, Refused):
                if answer.problem.code in ("unavailable", "conflict"):
                    raise StoreUnavailable(answer.problem.detail)
                log.info(
                    "reaction refused",
                    action="reaction_refused",
                    reader=self._reader,
                    command=name,
                    event_id=event.event_id,
                    problem=answer.problem.code,
                )


async def _one_by_one(
    commands: Sequence[tuple[str, Message]] | AsyncIterator[tuple[str, Message]],
) -> AsyncIterator[tuple[str, Message]]:
    if isinstance(commands, Sequence):
        for command in commands:
            yield command
    else:
        async for command in commands:
            yield command
