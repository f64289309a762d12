"""Commands: executed, answered, and only then acknowledged. Whatever cannot be is parked, and blocks nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import assert_never

import structlog

from adapters.amqp import envelope
from adapters.amqp.delivery import Delivery
from adapters.amqp.envelope import BadMessage, Request
from adapters.amqp.errors import BrokerUnavailable
from adapters.amqp.parking import Parking
from adapters.amqp.replies import Replies
from adapters.amqp.supervision import pause_after
from adapters.amqp.tasks import Tasks
from domain.ports import PublishFailed
from handlers.gateway import Gateway
from handlers.problems import refused
from millrace.contracts.wire import Accepted, Batch, Problem, Refused, Reply

log = structlog.get_logger(__name__)

CLAIM = "job.claim"
IN_PROGRESS = 400
RETRIED = frozenset({"unavailable", "too-many"})
HELD_SECONDS = 300.0
# Every lost connection and every crash counts for all messages in flight, innocent ones too; so the limit is high, and
# below the broker's own, which would park without a reason.
REDELIVERIES = 50


class Commands:
    """Takes deliveries from the consumer and sees each through in a task of its own.

    A command that the service cannot carry out right now is answered so when its sender asked for an answer. When not,
    it is held and tried again: giving it back to the queue at once would make it spin, and count against it.
    """

    def __init__(
        self, gateway: Gateway, replies: Replies, parking: Parking, take_claim: Callable[[Delivery, Request], None]
    ) -> None:
        self._gateway, self._replies, self._parking, self._take_claim = gateway, replies, parking, take_claim
        self._slots = asyncio.Semaphore(IN_PROGRESS)
        self._tasks = Tasks("amqp-command")

    def take(self, delivery: Delivery) -> None:
        """Takes a delivery over; how many can be under way is bounded by the consumer's prefetch count."""
        self._tasks.start(self._see_through(delivery))

    async def settle(self, seconds: float) -> None:
        """Waits until what is under way is answered, at most for `seconds`."""
        await self._tasks.settle(seconds)

    async def stop(self) -> None:
        await self._tasks.stop()

    async def _see_through(self, delivery: Delivery) -> None:
        async with self._slots:
            if delivery.lost:
                return
            try:
                request: Request | None = envelope.read(delivery.message)
                reply: Reply = Accepted({})
            except BadMessage as bad:
                request, reply = None, Refused(bad.problem)
            except Exception:
                log.exception("message_unreadable", routing_key=delivery.message.routing_key)
                request, reply = None, refused("internal", "the message could not be read; it was parked")
            if request is not None and request.name == CLAIM:
                delivery.acknowledge()
                self._take_claim(delivery, request)
                return
            if delivery.redeliveries >= REDELIVERIES:
                await self._give_up(delivery)
            elif request is None:
                await self._settle(delivery, reply)
            else:
                await self._carry_out(delivery, request)

    async def _carry_out(self, delivery: Delivery, request: Request) -> None:
        reply = await self._execute(request)
        if not delivery.message.reply_to and _retried(reply):
            async for _ in _attempts(delivery):
                reply = await self._execute(request)
                if not _retried(reply):
                    break
            else:
                await delivery.give_back()
                return
        await self._settle(delivery, reply)

    async def _execute(self, request: Request) -> Reply:
        try:
            return await self._gateway.execute(request.name, request.body, request.context)
        except Exception:
            log.exception("command_failed", command=request.name, message_id=request.context.message_id)
            return refused("internal", "the command failed inside the service; it was parked for its operators")

    async def _give_up(self, delivery: Delivery) -> None:
        error = f"delivered {delivery.redeliveries + 1} times without being acknowledged"
        reply = refused("internal", f"the command was {error}; it was parked for the service's operators")
        await self._settle(delivery, reply, reason="redelivered", error=error)

    async def _settle(self, delivery: Delivery, reply: Reply, reason: str | None = None, error: str = "") -> None:
        """Tells the sender or parks the message, or both; acknowledges when that is done."""
        message, address = delivery.message, None
        try:
            address = envelope.return_address(message)
        except BadMessage as bad:
            reason, error = "malformed", str(bad)
        problems = _problems(reply)
        internal = next((problem for problem in problems if problem.code == "internal"), None)
        if reason is None and (internal or (problems and address is None)):
            first = internal or problems[0]
            reason, error = first.code, first.detail
        if address is not None:
            queue, correlation_id = address
            name = envelope.name_of(message)
            if not await _insist(delivery, lambda: self._replies.send(queue, correlation_id, name, reply)):
                return
        if reason is not None:
            log.warning("message_parked", reason=reason, routing_key=message.routing_key, error=error)
            if not await _insist(delivery, lambda: self._parking.park(message, reason, error)):
                return
        delivery.acknowledge()


async def _insist(delivery: Delivery, step: Callable[[], Awaitable[None]]) -> bool:
    """Repeats a step until the broker plays along; False when the delivery is no longer ours."""
    try:
        await step()
        return True
    except (BrokerUnavailable, PublishFailed):
        pass
    async for _ in _attempts(delivery):
        try:
            await step()
            return True
        except (BrokerUnavailable, PublishFailed):
            continue
    await delivery.give_back()
    return False


async def _attempts(delivery: Delivery) -> AsyncIterator[int]:
    """Yields after growing pauses until the channel of the delivery is lost, or 5 minutes are over.

    Five minutes, since the broker closes the channel of a consumer that holds a message for 30.
    """
    give_up = asyncio.get_running_loop().time() + HELD_SECONDS
    attempt = 1
    while asyncio.get_running_loop().time() < give_up:
        await asyncio.sleep(pause_after(attempt))
        if delivery.lost:
            return
        yield attempt
        attempt += 1


def _problems(reply: Reply) -> list[Problem]:
    match reply:
        case Accepted():
            return []
        case Refused(problem=problem):
            return [problem]
        case Batch(items=items):
            return [item.problem for item in items if isinstance(item, Refused)]
        case _:
            assert_never(reply)


def _retried(reply: Reply) -> bool:
    return any(problem.code in RETRIED for problem in _problems(reply))
