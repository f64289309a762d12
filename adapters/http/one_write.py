"""A transport whose writes of one moment go out in one: the head of an answer and its body are two otherwise, and each
costs a system call here and a wake-up there."""

from __future__ import annotations

import asyncio
from typing import Any

# More is written at once, so that the loop's own transport can tell who writes that it is enough.
MOST_BYTES = 65_536


class OneWrite:
    """Stands before a transport of the loop and has all that is not about writing from it."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._waiting: list[bytes] = []
        self._size = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Writes at the end of this turn of the loop, together with what else is written until then."""
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(data)
        self._size += len(data)
        if self._size >= MOST_BYTES:
            self._flush()

    def close(self) -> None:
        """Writes what waits and closes."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._waiting:
            data, self._waiting, self._size = b"".join(self._waiting), [], 0
            if not self._transport.is_closing():
                self._transport.write(data)
