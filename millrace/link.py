"""A client's connection within one event loop: origin, batching, and refusals turned into errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from millrace.batching import Batcher, replies_of, wrapped
from millrace.cause import CAUSE
from millrace.contracts.operations import OPERATIONS
from millrace.encoding import encode
from millrace.errors import MillraceError, error_from
from millrace.ids import uuid7
from millrace.settings import Settings
from millrace.tracing import current_traceparent
from millrace.transport import Origin, Reply, Transport


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service answered: the result, and the position of what it recorded, if anything."""

    result: dict[str, Any]
    position: str | None = None


class Link:
    """Sends commands, coalesced with others of the same moment, and queries."""

    def __init__(self, settings: Settings, transport: Transport) -> None:
        self.settings = settings
        self.transport = transport
        self._batcher = Batcher(self._send)

    def origin(self, tenant: str | None = None, company: str | None = None) -> Origin:
        """In whose name the running code sends: a handler's messages carry what caused them."""
        cause = CAUSE.get()
        return Origin(
            tenant=tenant or (cause.tenant if cause else None) or self.settings.tenant,
            company=company or self.settings.company,
            correlation_id=cause.correlation_id if cause else None,
            causation_id=cause.causation_id if cause else None,
            actor=self.settings.actor,
            traceparent=current_traceparent() or (cause.traceparent if cause else None),
        )

    async def execute(
        self, name: str, body: Mapping[str, Any], *, origin: Origin | None = None, message_id: str | None = None
    ) -> Answer:
        """Carries out one command.

        Raises:
            ValueError: the body is not JSON.
            Refused: the service will not do it.
            Unavailable: it was not done.
            OutcomeUnknown: it may have been done.
        """
        sender, message = origin or self.origin(), message_id or uuid7()
        if name in OPERATIONS:
            # The service answers each at its own time, so they do not come in batches.
            return read_answer(await self._send(name, encode(body), sender, message))
        return read_answer(await (await self._batcher.put(name, encode(body), sender, message)))

    async def execute_many(
        self, name: str, bodies: Iterable[Mapping[str, Any]], *, origin: Origin | None = None
    ) -> list[Answer | MillraceError]:
        """Carries out many commands; each has its own outcome, in the order of `bodies`."""
        sender = origin or self.origin()
        answers = [await self._batcher.put(name, encode(body), sender, uuid7()) for body in bodies]
        outcomes: list[Answer | MillraceError] = []
        for answer in answers:
            try:
                reply = await answer
            except MillraceError as error:
                outcomes.append(error)
            else:
                outcomes.append(_outcome(reply))
        return outcomes

    async def execute_together(
        self, name: str, bodies: Iterable[Mapping[str, Any]], *, origin: Origin | None = None
    ) -> list[Answer | MillraceError]:
        """Carries out commands that name each other, in one message of their own; each has its own outcome.

        Raises:
            Refused: none of them was carried out.
            Unavailable: none was.
            OutcomeUnknown: they may have been.
        """
        items = [wrapped(uuid7(), encode(body)) for body in bodies]
        reply = await self._send(name, b"[" + b",".join(items) + b"]", origin or self.origin(), uuid7())
        if not reply["ok"]:
            raise _error(reply)
        return [_outcome(each) for each in replies_of(reply, len(items))]

    async def query(
        self, name: str, body: Mapping[str, Any], *, min_position: str | None = None, hold: float = 0.0
    ) -> dict[str, Any]:
        """Answers one query.

        Args:
            min_position: the read model must have come this far.
            hold: seconds that the service may wait for something to answer with.

        Raises:
            Refused: there is no answer.
            Unavailable: the service could not be reached in time.
        """
        reply = await self.transport.query(
            name, encode(body), self.origin(), timeout=self.settings.timeout, hold=hold, min_position=min_position
        )
        return read_answer(reply).result

    async def close(self) -> None:
        await self._batcher.close()
        await self.transport.close()

    async def _send(self, name: str, body: bytes, origin: Origin, message_id: str) -> Reply:
        return await self.transport.execute(name, body, origin, message_id, timeout=self.settings.timeout)


def read_answer(reply: Reply) -> Answer:
    """The answer in a single reply.

    Raises:
        Refused: the reply is a refusal.
        Unavailable: it asks to come back later.
    """
    if not reply["ok"]:
        raise _error(reply)
    return Answer(reply["result"], reply.get("position"))


def _outcome(reply: Reply) -> Answer | MillraceError:
    return Answer(reply["result"], reply.get("position")) if reply["ok"] else _error(reply)


def _error(reply: Reply) -> MillraceError:
    return error_from(reply.get("error") or {})
