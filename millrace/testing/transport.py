"""The client's way to the service in memory: the same messages as over HTTP or AMQP, without a network."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from pydantic_core import from_json, to_json

from millrace.contracts.wire import MAX_BODY_BYTES, Context, Refused
from millrace.contracts.wire import Reply as WireReply
from millrace.ids import uuid7
from millrace.testing.memory import InMemory
from millrace.testing.refusals import refused
from millrace.transport import Origin, Reply


class MemoryTransport:
    """Implements `millrace.transport.Transport`.

    Waiting claims and readers of the log wait for an event or for the clock to be moved, not for time to pass.
    """

    def __init__(self, memory: InMemory) -> None:
        self._memory = memory

    async def execute(
        self,
        name: str,
        body: bytes,
        origin: Origin,
        message_id: str,
        *,
        timeout: float,
        hold: float = 0.0,
        repeat: bool = True,
    ) -> Reply:
        value, unreadable = await _decoded(body)
        if unreadable is not None:
            return _sent(unreadable)
        context = _context(origin, message_id)
        arrived = time.monotonic()

        def attempt() -> Reply:
            return _sent(self._memory.execute(name, value, context))

        reply = attempt()
        if name == "job.claim" and reply["ok"]:
            reply = await self._held(reply, value, attempt, lambda claimed: bool(claimed["result"]["grants"]))
            # A worker counts its leases by the machine's clock, whatever the service's clock says.
            reply["result"]["held"] = time.monotonic() - arrived
        return reply

    async def query(
        self,
        name: str,
        body: bytes,
        origin: Origin,
        *,
        timeout: float,
        hold: float = 0.0,
        min_position: str | None = None,
    ) -> Reply:
        value, unreadable = await _decoded(body)
        if unreadable is not None:
            return _sent(unreadable)
        context = _context(origin, uuid7())
        reply = _sent(self._memory.query(name, value, context, min_position))
        if name != "log.read" or not reply["ok"]:
            return reply
        # `head` means the end of the log as it was when the query came.
        pinned = value | {"after": reply["result"]["position"]}
        return await self._held(
            reply,
            value,
            lambda: _sent(self._memory.query(name, pinned, context, min_position)),
            lambda read: bool(read["result"]["events"]),
        )

    async def close(self) -> None:
        """Nothing is open."""

    async def _held(
        self, first: Reply, body: dict[str, Any], attempt: Callable[[], Reply], enough: Callable[[Reply], bool]
    ) -> Reply:
        """The first reply with something in it, or the last one within the body's `wait` seconds of the clock."""
        clock = self._memory.clock
        deadline = clock.now() + timedelta(seconds=float(body.get("wait", 0.0)))
        if enough(first) or clock.now() >= deadline:
            return first

        def look() -> Reply | None:
            reply = attempt()
            return reply if not reply["ok"] or enough(reply) or clock.now() >= deadline else None

        return await self._memory.until(look)


async def _decoded(body: bytes) -> tuple[Any, Refused | None]:
    # Like any transport it lets others run, so that a loop around it does not keep the event loop to itself.
    await asyncio.sleep(0)
    if len(body) > MAX_BODY_BYTES:
        return None, refused("too-large", f"a message has at most {MAX_BODY_BYTES} bytes, this one has {len(body)}")
    try:
        return from_json(body), None
    except ValueError as error:
        return None, refused("malformed", f"the body is not JSON: {error}")


def _context(origin: Origin, message_id: str) -> Context:
    return Context(
        tenant=origin.tenant,
        message_id=message_id,
        company=origin.company,
        correlation_id=origin.correlation_id,
        causation_id=origin.causation_id,
        actor=origin.actor,
        traceparent=origin.traceparent,
    )


def _sent(reply: WireReply) -> Reply:
    """The reply as it comes out of a wire: nothing in it is shared with the service."""
    sent: Reply = from_json(to_json(reply.to_wire()))
    return sent
