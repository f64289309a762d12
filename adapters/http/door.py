"""How the routes reach the gateway: with the caller's context, and with refusals as exceptions."""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from adapters.http.access import Access
from adapters.http.call import call_of
from adapters.http.presence import ShuttingDown, while_wanted
from adapters.http.problems import HttpProblem, unavailable
from handlers.gateway import Gateway
from millrace.contracts.wire import Accepted, Batch, Context, Refused, Reply

HELD_COMMANDS = frozenset({"job.claim"})
HELD_QUERIES = frozenset({"log.read"})


class Door:
    """The gateway as HTTP sees it."""

    def __init__(self, gateway: Gateway, access: Access) -> None:
        self.gateway = gateway
        self._access = access

    def context(self, request: Request, command: str | None = None) -> Context:
        """Who asks, to send `command` if it is one. Raises `HttpProblem` (400, 401, 403)."""
        return call_of(request.scope).context(self._access, command)

    async def command(self, request: Request, name: str, body: object, context: Context | None = None) -> Reply:
        """Carries out a command, whatever its answer.

        Raises:
            HttpProblem: the caller may not ask, or the service stops while it holds the command.
            ClientGone: the client left while the command was held; nothing was granted.
        """
        work = self.gateway.execute(name, body, context or self.context(request, name))
        if name not in HELD_COMMANDS:
            return await work
        try:
            return await while_wanted(work, request.receive, shutdown_of(request))
        except ShuttingDown:
            raise unavailable("the service is stopping") from None

    async def ask(self, request: Request, name: str, body: object) -> Accepted | Refused:
        """Answers a query, whatever its answer. Raises as `command` does."""
        position = call_of(request.scope).text(b"x-min-position")
        work = self.gateway.query(name, body, self.context(request), position)
        if name not in HELD_QUERIES:
            return await work
        try:
            return await while_wanted(work, request.receive, shutdown_of(request))
        except ShuttingDown:
            raise unavailable("the service is stopping") from None

    async def execute(self, request: Request, name: str, body: dict[str, object]) -> Accepted:
        """Carries out one command. Raises `HttpProblem` where it is refused."""
        reply = await self.command(request, name, body)
        if isinstance(reply, Batch):
            raise TypeError(f"{name} answered one body with a batch")
        return _accepted(reply)

    async def query(self, request: Request, name: str, body: dict[str, object]) -> Accepted:
        """Answers one query. Raises `HttpProblem` where it is refused."""
        return _accepted(await self.ask(request, name, body))


def shutdown_of(request: Request) -> asyncio.Event:
    """The event that is set when the service stops."""
    shutdown: asyncio.Event = request.app.state.shutdown
    return shutdown


def _accepted(reply: Accepted | Refused) -> Accepted:
    if isinstance(reply, Refused):
        raise HttpProblem(reply.problem)
    return reply
