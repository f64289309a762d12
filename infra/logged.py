"""The gateway's part in the log: whose command it is that a line belongs to, and which commands were refused."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import Token
from typing import Any

import structlog
from structlog.contextvars import bind_contextvars, reset_contextvars

from handlers.gateway import Gateway
from millrace.contracts.wire import Accepted, Batch, Context, Refused, Reply

log = structlog.get_logger("gateway")
# A worker asks for a subscription's lease before anybody may have created it, and creates it after this answer.
EXPECTED = frozenset({("subscription.lease", "not-found")})


class LoggedGateway:
    """A gateway whose commands and queries mark the log lines that are written on their behalf."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def execute(self, name: str, body: object, context: Context) -> Reply:
        marks = _marked(context)
        try:
            reply = await self._gateway.execute(name, body, context)
            _note(name, reply)
            return reply
        finally:
            reset_contextvars(**marks)

    async def query(
        self, name: str, body: object, context: Context, min_position: str | None = None
    ) -> Accepted | Refused:
        marks = _marked(context)
        try:
            return await self._gateway.query(name, body, context, min_position)
        finally:
            reset_contextvars(**marks)


def _marked(context: Context) -> Mapping[str, Token[Any]]:
    ids = {"correlation": context.correlation_id or context.message_id, "tenant": context.tenant}
    if context.traceparent is not None:
        ids["trace"] = context.traceparent[3:35]
    return bind_contextvars(**ids)


def _note(name: str, reply: Reply) -> None:
    """One line for a command, however large its batch."""
    refused = [item for item in (reply.items if isinstance(reply, Batch) else [reply]) if isinstance(item, Refused)]
    if refused:
        problem = refused[0].problem.code
        write = log.debug if (name, problem) in EXPECTED else log.info
        write("command refused", action="command_refused", command=name, refused=len(refused), problem=problem)
