"""What is written in one turn of the loop goes out in one piece, in order, and nothing is kept for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.http.one_write import MOST_BYTES, OneWrite


class Peer(asyncio.Protocol):
    """The other end of a real connection."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[bytes] = asyncio.Queue()

    def data_received(self, data: bytes) -> None:
        self.received.put_nowait(data)

    def connection_lost(self, error: Exception | None) -> None:
        self.received.put_nowait(b"")

    async def all(self) -> bytes:
        """Everything up to the end of the connection."""
        got = b""
        while data := await asyncio.wait_for(self.received.get(), 10):
            got += data
        return got


class Counted(asyncio.Transport):
    """A transport that passes on and counts what is written to it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self.transport, self.writes = transport, list[bytes]()

    def write(self, data: bytes) -> None:  # type: ignore[override]
        self.writes.append(data)
        self.transport.write(data)

    def close(self) -> None:
        self.transport.close()

    def is_closing(self) -> bool:
        return self.transport.is_closing()


@pytest.fixture
async def ends() -> AsyncIterator[tuple[Counted, Peer]]:
    loop = asyncio.get_running_loop()
    peer = Peer()
    server = await loop.create_server(lambda: peer, "127.0.0.1", 0)
    transport, _ = await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())
    yield Counted(transport), peer
    transport.abort()
    server.close()


async def test_a_head_and_its_body_go_out_in_one(ends: tuple[Counted, Peer]) -> None:
    counted, peer = ends
    writing = OneWrite(counted, asyncio.get_running_loop())
    writing.write(b"head ")
    writing.write(b"body")
    assert counted.writes == []
    assert await asyncio.wait_for(peer.received.get(), 30) == b"head body"
    writing.write(b"next")
    assert await asyncio.wait_for(peer.received.get(), 30) == b"next"
    assert counted.writes == [b"head body", b"next"]


async def test_what_waits_is_written_before_the_end(ends: tuple[Counted, Peer]) -> None:
    counted, peer = ends
    writing = OneWrite(counted, asyncio.get_running_loop())
    writing.write(b"last words")
    writing.close()
    assert writing.is_closing()
    writing.write(b"too late")
    assert await peer.all() == b"last words"


async def test_who_writes_without_a_pause_is_not_kept_in_memory(ends: tuple[Counted, Peer]) -> None:
    counted, _ = ends
    writing = OneWrite(counted, asyncio.get_running_loop())
    for _ in range(5):
        writing.write(b"x" * (MOST_BYTES - 1))
    assert sum(map(len, counted.writes)) >= 4 * (MOST_BYTES - 1)
