"""The client's way to the service in memory: the same messages as over HTTP or AMQP, without a network."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

from pydantic_core import from_json, to_json

from millrace.contracts.wire import MAX_BODY_BYTES, Context
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
        decoded = await _decoded(body)
        if isinstance(decoded, Reply):
            return decoded
        context = _context(origin, message_id)
        if name == "job.claim":
            return await self._claim(decoded.value, context)
        return _sent(self._memory.execute(name, decoded.value, context))

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
        decoded = await _decoded(body)
        if isinstance(decoded, Reply):
            return decoded
        context = _context(origin, uuid7())
        if name == "log.read":
            return await self._read(decoded.value, context, min_position)
        return _sent(self._memory.query(name, decoded.value, context, min_position))

    async def close(self) -> None:
        """Nothing is open."""

    async def _claim(self, body: Any, context: Context) -> Reply:
        arrived = time.monotonic()
        expired = self._expiry(body)

        def attempt() -> Reply | None:
            reply = _sent(self._memory.claim(body, context))
            return reply if not reply["ok"] or reply["result"]["grants"] or expired() else None

        reply = await self._memory.until(attempt)
        if reply["ok"]:
            reply["result"]["held"] = time.monotonic() - arrived
        return reply

    async def _read(self, body: Any, context: Context, min_position: str | None) -> Reply:
        expired = self._expiry(body)

        def attempt() -> Reply | None:
            reply = _sent(self._memory.query("log.read", body, context, min_position))
            if not reply["ok"] or reply["result"]["events"] or expired():
                return reply
            # `head` means the end of the log as it was when the query came.
            body["after"] = reply["result"]["position"]
            return None

        return await self._memory.until(attempt)

    def _expiry(self, body: Any) -> Any:
        wait = body.get("wait", 0.0) if isinstance(body, dict) else 0.0
        deadline = self._memory.clock.now() + timedelta(seconds=wait if isinstance(wait, int | float) else 0.0)
        return lambda: self._memory.clock.now() >= deadline
