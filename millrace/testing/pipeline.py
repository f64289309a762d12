"""The path of a command in memory: validate, decide, record, answer; the same message id gives the same answer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from pydantic import ValidationError

from millrace.contracts.storable import Unstorable, storable
from millrace.contracts.wire import Accepted, Context, Refused
from millrace.testing.clock import VirtualClock
from millrace.testing.commands import Route
from millrace.testing.log import MemoryLog, Origin, Stream
from millrace.testing.refusals import Refusal, invalid, refused
from millrace.testing.states import State

Answer = Accepted | Refused
# A position of another log says nothing about the command; with a right one it may be given again.
FORGOTTEN = frozenset({"reset", "invalid"})


class Pipeline:
    """Carries out commands that aggregates decide.

    Args:
        recorded: called with the aggregate and its state after new events.
    """

    def __init__(
        self, log: MemoryLog, clock: VirtualClock, routes: dict[str, Route], recorded: Callable[[Stream, State], None]
    ) -> None:
        self._log, self._clock, self._routes, self._recorded = log, clock, routes, recorded
        self._inbox: dict[tuple[str, str], tuple[bytes, Answer]] = {}

    def execute(self, name: str, body: object, context: Context) -> Answer:
        """Carries out one command; what is wrong with it is a `Refused`."""
        route = self._routes[name]
        try:
            command = route.model.model_validate(body)
            encoded = storable(command, context)
        except ValidationError as error:
            return invalid(error)
        except Unstorable as error:
            return refused("invalid", str(error))
        digest = hashlib.blake2b(name.encode() + b"\n" + encoded, digest_size=16).digest()
        key = context.tenant, context.message_id
        known, answer = self._inbox.get(key, (None, None))
        if answer is not None:
            return answer if known == digest else _mismatch()
        stream = Stream(route.kind, context.tenant, route.identify(command, context))
        state = self._log.states.get(stream)
        if state is None and not route.creates:
            return refused("not-found", f"there is no {stream.kind} {stream.id!r}")
        answer = self._decide(route, stream, state, command, context)
        if route.remembered and not (isinstance(answer, Refused) and answer.problem.code in FORGOTTEN):
            self._inbox[key] = digest, answer
        return answer

    def _decide(self, route: Route, stream: Stream, state: State | None, command: object, context: Context) -> Answer:
        try:
            told = route.admit(stream, state, command, context) if route.admit else None
            if told is not None:
                holder = Stream(route.kind, context.tenant, told["job_id"])
                return Accepted(told, self._log.token(self._log.streams[holder][-1].position))
            now = self._clock.now()
            facts = (
                route.decide_at(stream, state, command, now) if route.decide_at else route.decide(state, command, now)
            )
        except Refusal as refusal:
            return refusal.answer()
        if facts:
            first = self._log.streams[stream][0].origin if state is not None and route.continues else None
            state = self._log.append(stream, facts, Origin.of(context, first), self._clock.now())
            self._recorded(stream, state)
        position = self._log.streams[stream][-1].position
        return Accepted(route.answer(stream.id, state), self._log.token(position))


def _mismatch() -> Refused:
    return refused(
        "idempotency-mismatch",
        "this message id was used before with another body; a new command needs an id of its own",
    )
