"""Clients of the live feed over WebSockets, as an application would write them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

DEADLINE = 60.0


class LiveClient:
    """One connection; `read` gives its messages in order."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.seen: list[dict[str, Any]] = []

    async def say(self, **message: Any) -> None:
        await self.connection.send(json.dumps(message))

    async def read(self) -> dict[str, Any]:
        """The next message."""
        message: dict[str, Any] = json.loads(await asyncio.wait_for(self.connection.recv(), DEADLINE))
        self.seen.append(message)
        return message

    async def until(self, holds: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """The messages up to the first for which `holds` is true."""
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(DEADLINE):
            while True:
                found.append(await self.read())
                if holds(found[-1]):
                    return found

    async def told(self, event: str) -> dict[str, Any]:
        """The next message of that name; what comes before it is passed over."""
        return (await self.until(lambda message: message["event"] == event))[-1]

    async def subscribe(self, pattern: str, **more: Any) -> list[dict[str, Any]]:
        """Follows a pattern; what comes until everything recorded so far was sent."""
        await self.say(action="subscribe", pattern=pattern, **more)
        return await self.until(lambda message: message["event"] in ("caught-up", "error", "reset", "gone"))


@asynccontextmanager
async def live(url: str, path: str = "/ws/tester", **options: Any) -> AsyncIterator[LiveClient]:
    """A connection to the service at an HTTP address."""
    options.setdefault("proxy", None)
    async with connect(url.replace("http", "ws", 1) + path, **options) as connection:
        yield LiveClient(connection)
