"""Queries, claims and renewals: answered while somebody waits, never kept.

They are acknowledged when they are answered, so that those which a process holds go to another when it dies, or to
itself when it is back; their senders would wait in vain for half a minute. One that comes back for the second time is
acknowledged at once, since it may be what ends the processes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

from adapters.amqp import envelope
from adapters.amqp.envelope import Arrived, BadMessage, Request
from adapters.amqp.errors import BrokerUnavailable
from adapters.amqp.replies import Replies
from adapters.amqp.tasks import Tasks
from handlers.gateway import Gateway
from handlers.problems import refused
from millrace.contracts.operations import TRANSIENT
from millrace.contracts.wire import Refused, Reply

log = structlog.get_logger(__name__)

# Together less than the time in which a grant must be confirmed.
RESEND_PAUSES = (0.1, 0.3, 0.6, 1.0)
CLAIM = "job.claim"

Answer = Callable[[Request], Awaitable[Reply]]


class Requests:
    """Answers requests that may wait for a while, at most `most` of them at a time; more are told to come back."""

    def __init__(self, replies: Replies, answer: Answer, most: int, given_up: Callable[[str], bool]) -> None:
        """
        Args:
            given_up: whether a request of that name is given up when its connection breaks.
        """
        self._replies, self._answer, self._most, self._given_up = replies, answer, most, given_up
        self._tasks = Tasks("amqp-request")
        self._held: set[asyncio.Task[None]] = set()

    def take(
        self, message: Arrived, request: Request | None = None, acknowledge: Callable[[], None] | None = None
    ) -> None:
        """Takes a message over.

        Args:
            request: where it was read before.
            acknowledge: called once the message is answered; without it, it is acknowledged already.
        """
        work = self._see_through(message, request, acknowledge, full=len(self._tasks) >= self._most)
        task = self._tasks.start(work)
        if acknowledge is not None and self._given_up(envelope.name_of(message)):
            self._held.add(task)
            task.add_done_callback(self._held.discard)

    def let_go(self) -> None:
        """Gives up what is not acknowledged: its connection is gone, and the broker delivers it again, here or
        elsewhere."""
        for task in self._held:
            task.cancel()

    async def stop(self) -> None:
        await self._tasks.stop()

    async def _see_through(
        self, message: Arrived, request: Request | None, acknowledge: Callable[[], None] | None, *, full: bool
    ) -> None:
        await self._answer_to(message, request, full=full)
        if acknowledge is not None:
            acknowledge()

    async def _answer_to(self, message: Arrived, request: Request | None, *, full: bool) -> None:
        try:
            address = envelope.return_address(message)
        except BadMessage:
            address = None
        if address is None:
            log.info("request_without_return_address", routing_key=message.routing_key)
            return
        name = envelope.name_of(message)
        reply = refused("too-many", "too many requests wait here", retry_after=1.0) if full else None
        await self._send(address, name, reply or await self._reply(message, request))

    async def _send(self, address: tuple[str, str], name: str, reply: Reply) -> None:
        """Sends an answer, for a few seconds if need be.

        After a restart of the broker a request may arrive while the connection that answers go over is still to be made
        anew, and a grant that is lost costs its jobs the time that it takes to lapse.
        """
        for pause in (*RESEND_PAUSES, None):
            try:
                await self._replies.send(*address, name, reply)
                return
            except BrokerUnavailable as error:
                if pause is None:
                    log.info("reply_lost", request=name, error=str(error))
                    return
                await asyncio.sleep(pause)

    async def _reply(self, message: Arrived, request: Request | None) -> Reply:
        try:
            return await self._answer(request or envelope.read(message))
        except BadMessage as bad:
            return Refused(bad.problem)
        except Exception:
            log.exception("request_failed", routing_key=message.routing_key)
            return refused("internal", "the request failed inside the service")


def queries(gateway: Gateway, replies: Replies, most: int) -> Requests:
    async def answer(request: Request) -> Reply:
        return await gateway.query(request.name, request.body, request.context, request.min_position)

    return Requests(replies, answer, most, given_up=lambda _: True)


def claims(
    gateway: Gateway, replies: Replies, most: int, claims_for: Mapping[str, tuple[str, ...]] | None = None
) -> Requests:
    """Answers what workers send.

    Args:
        claims_for: the tenants that each user of the broker may claim for besides the one of the routing key; None lets
            everybody claim for all.
    """

    async def answer(request: Request) -> Reply:
        if request.name not in TRANSIENT:
            # What arrives here is acknowledged at once: any other command could be lost without a trace.
            taken = ", ".join(sorted(TRANSIENT))
            return refused("unknown-command", f"only {taken} are taken here; send {request.name} to millrace.commands")
        context = request.context
        if request.name == CLAIM:
            allowed = ("*",) if claims_for is None else claims_for.get(context.principal, ())
            context = context._replace(claims_for=allowed)
        return await gateway.execute(request.name, request.body, context)

    # Held twice, a claim would be granted twice; what else comes here is carried out at once.
    return Requests(replies, answer, most, given_up=lambda name: name == CLAIM)
