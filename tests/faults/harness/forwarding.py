"""A TCP port in front of a server: what the fault proxy and the taps have in common."""

from __future__ import annotations

import asyncio
import socket
import struct
from abc import ABC, abstractmethod
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from typing import Literal, Self
from urllib.parse import urlsplit

# client to server, server to client
Way = Literal["c2s", "s2c"]
READ_BYTES = 65_536
RESET = struct.pack("ii", 1, 0)


class Pair:
    """One client's connection together with the one to the server that was made for it."""

    def __init__(self, client: tuple[StreamReader, StreamWriter], server: tuple[StreamReader, StreamWriter]) -> None:
        self.client, self.server = client, server

    def reset(self) -> None:
        """Both sides see `connection reset`; nothing that is still buffered gets through."""
        for _, writer in (self.client, self.server):
            reset(writer)

    def ends(self, way: Way) -> tuple[StreamReader, StreamWriter]:
        """Where bytes of that direction come from, and where they go."""
        return (self.client[0], self.server[1]) if way == "c2s" else (self.server[0], self.client[1])


class Forwarder(ABC):
    """Listens on a port of its own on the loopback and makes a connection to the server for each that it gets.

    Args:
        upstream: the server's host and port, or its URL.
        name: what logs and tests call it.
    """

    def __init__(self, upstream: str | tuple[str, int], name: str = "forwarder") -> None:
        if isinstance(upstream, str):
            parts = urlsplit(upstream)
            if parts.hostname is None or parts.port is None:
                raise ValueError(f"{upstream!r} names no host and port; give both")
            upstream = parts.hostname, parts.port
        self.name, self.upstream = name, upstream
        self._bound = _bound(0)
        self.port = int(self._bound.getsockname()[1])
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.pairs: set[Pair] = set()

    def url(self, url: str) -> str:
        """The same URL, through this port."""
        parts = urlsplit(url)
        login = parts.netloc.rpartition("@")[0]
        return parts._replace(netloc=f"{login}{'@' if login else ''}127.0.0.1:{self.port}").geturl()

    async def start(self) -> Self:
        await self.listen()
        return self

    async def listen(self) -> None:
        """Takes connections (again)."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, sock=self._bound, limit=READ_BYTES, backlog=512)

    def refuse(self) -> None:
        """Refuses new connections, as a port does behind which nothing runs; those that are open stay."""
        if self._server is not None:
            self._server.close()
            self._server = None
            # Bound without listening, the port refuses and yet belongs to nobody else.
            self._bound = _bound(self.port)

    def reset_all(self) -> None:
        """Resets every open connection."""
        for pair in tuple(self.pairs):
            pair.reset()

    async def kill(self) -> None:
        """Like `close`; a part of a bench can be killed whatever it is."""
        await self.close()

    async def close(self) -> None:
        """Leaves no port, connection or task behind."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._bound.close()
        self.reset_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @abstractmethod
    async def serve(self, pair: Pair) -> None:
        """Carries bytes both ways until the connection is over."""

    async def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            server = await asyncio.open_connection(*self.upstream, limit=READ_BYTES)
        except OSError:
            reset(writer)
            return
        pair = Pair((reader, writer), server)
        self.pairs.add(pair)
        try:
            # Resets and ends of either side are what passes through here; they are no errors of ours.
            with suppress(OSError, EOFError, asyncio.CancelledError):
                await self.serve(pair)
        finally:
            self.pairs.discard(pair)
            for _, end in (pair.client, pair.server):
                end.close()


async def both(one: asyncio.Task[None], other: asyncio.Task[None]) -> None:
    """Waits until both directions have ended; where one fails, or the caller is cancelled, ends the other too."""
    try:
        await asyncio.gather(one, other)
    finally:
        for task in (one, other):
            task.cancel()
        await asyncio.gather(one, other, return_exceptions=True)


def _bound(port: int) -> socket.socket:
    # Named, because asyncio sets TCP_NODELAY only where it is: else every answer of several parts waits for 40 ms.
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    made.setblocking(False)
    return made


def reset(writer: StreamWriter) -> None:
    """Ends a connection so that its other side sees `connection reset`; what is still buffered is lost."""
    raw = writer.get_extra_info("socket")
    if raw is not None and not writer.transport.is_closing():
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
