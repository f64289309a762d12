"""A real server on a real port: streams, held claims, shutdown with clients connected, a port in use."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from fastapi import FastAPI

from adapters.http.server import AddressUnavailable, PortInUse, listen, serve
from millrace.contracts.wire import Context
from tests.unit.http.memory_gateway import MemoryGateway


@dataclass
class Running:
    port: int
    shutdown: asyncio.Event
    task: asyncio.Task[None]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def stop(self) -> float:
        """Seconds until the server has ended."""
        began = time.monotonic()
        self.shutdown.set()
        await asyncio.wait_for(self.task, 30)
        return time.monotonic() - began


@pytest.fixture
async def running(app: FastAPI) -> AsyncIterator[Running]:
    shutdown = asyncio.Event()
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(app, "127.0.0.1", 0, shutdown, ready=port.set_result))
    made = Running(await asyncio.wait_for(port, 20), shutdown, task)
    yield made
    await made.stop()


@contextlib.asynccontextmanager
async def following(running: Running, **headers: str) -> AsyncIterator[AsyncIterator[str]]:
    async with (
        httpx.AsyncClient(timeout=10) as client,
        client.stream("GET", f"{running.url}/api/events", headers=headers) as answer,
    ):
        assert answer.status_code == 200
        yield answer.aiter_lines()


async def until(lines: AsyncIterator[str], wanted: str) -> list[str]:
    seen: list[str] = []
    async for line in lines:
        seen.append(line)
        if line.startswith(wanted):
            return seen
    raise AssertionError(f"{wanted!r} never came: {seen}")


async def test_a_stream_goes_live_and_resumes_where_it_ended(running: Running, gateway: MemoryGateway) -> None:
    context = Context(tenant="default", message_id="m")
    async with following(running) as lines:
        await until(lines, "event: caught-up")
        await gateway.record("shop.sold", context, "s", {"n": 1})
        seen = await until(lines, "event: shop.sold")
        assert "id: e1-1" in seen
    await gateway.record("shop.sold", context, "s", {"n": 2})
    async with following(running, **{"Last-Event-ID": "e1-1"}) as lines:
        seen = await until(lines, "event: caught-up")
    assert [line for line in seen if line.startswith("id: ")] == ["id: e1-2", "id: e1-2"]


async def test_the_server_ends_at_once_with_streams_and_claims_open(running: Running, gateway: MemoryGateway) -> None:
    async with httpx.AsyncClient(timeout=10) as client, following(running) as lines:
        await until(lines, "event: caught-up")
        claim = asyncio.create_task(
            client.post(f"{running.url}/api/commands/job.claim", json={"worker": "w", "wait": 60})
        )
        await gateway.held.wait()
        assert await running.stop() < 2
        assert [line async for line in lines if line.startswith("event: ")] == []
        answer = await claim
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert gateway.canceled.is_set()


async def test_the_server_ends_with_a_client_that_reads_nothing(running: Running, gateway: MemoryGateway) -> None:
    context = Context(tenant="default", message_id="m")
    for _ in range(200):
        await gateway.record("shop.sold", context, "s", {"text": "x" * 100_000})
    stalled = socket.create_connection(("127.0.0.1", running.port))
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    stalled.sendall(b"GET /api/events?after=beginning HTTP/1.1\r\nHost: localhost\r\n\r\n")
    async with following(running) as lines:
        await until(lines, "event: caught-up")
    pages = len(gateway.contexts)
    assert pages <= 6
    assert await running.stop() < 5
    stalled.close()


async def test_a_claim_of_a_client_that_left_is_withdrawn(running: Running, gateway: MemoryGateway) -> None:
    async with httpx.AsyncClient() as client:
        claim = asyncio.create_task(
            client.post(f"{running.url}/api/commands/job.claim", json={"worker": "w", "wait": 60})
        )
        await gateway.held.wait()
        claim.cancel()
        await asyncio.wait_for(gateway.canceled.wait(), 30)


async def test_a_claim_that_is_waited_for_is_answered(running: Running) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{running.url}/api/commands/job.claim", json={"worker": "w", "wait": 0.05})
    assert answer.json()["result"] == {"grants": [], "held": 0.05, "lease": 5.0}


async def test_a_command_goes_on_after_its_client_left(running: Running, gateway: MemoryGateway) -> None:
    raw = (
        b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b'Content-Length: 13\r\n\r\n{"name": "x"}'
    )
    _, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(raw)
    await writer.drain()
    writer.close()
    async with gateway.changed:
        await asyncio.wait_for(gateway.changed.wait_for(lambda: bool(gateway.events)), 30)
    assert len(gateway.jobs) == 1


async def test_an_oversized_chunked_body_is_refused_on_the_wire(running: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(
        b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n" + (b"400\r\n" + b" " * 1_024 + b"\r\n") * 8
    )
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in head.lower()
    writer.close()


async def test_a_port_in_use_is_said_before_anything_starts(app: FastAPI, running: Running) -> None:
    with pytest.raises(PortInUse) as caught:
        await serve(app, "127.0.0.1", running.port, asyncio.Event())
    assert (caught.value.host, caught.value.port) == ("127.0.0.1", running.port)
    assert "--port" in str(caught.value)


async def test_an_address_of_another_machine_is_said(app: FastAPI) -> None:
    with pytest.raises(AddressUnavailable):
        await serve(app, "192.0.2.1", 0, asyncio.Event())


async def test_an_answer_is_sent_at_once_and_waits_for_no_acknowledgement_of_its_head() -> None:
    delayed: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        delayed.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    [listener] = listen("127.0.0.1", 0)
    async with await asyncio.start_server(accept, sock=listener) as server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert await asyncio.wait_for(delayed, 30) == 1
        writer.close()
        await writer.wait_closed()


async def answered(port: int, *parts: bytes) -> bytes:
    """What a request in parts is answered, until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        return await asyncio.wait_for(reader.read(), 30)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 40_000,
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(5_000)) + b"\r\n",
        b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=["one header without an end", "many headers", "a long address"],
)
async def test_a_head_without_bounds_is_refused(running: Running, head: bytes) -> None:
    assert (await answered(running.port, head)).startswith(b"HTTP/1.1 400")


async def test_a_body_larger_than_a_head_may_be_is_no_head(running: Running) -> None:
    body = b'{"name":"resize","data":{"text":"' + b"x" * 100_000 + b'"}}'
    head = b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
    answer = await answered(running.port, head + b"Content-Length: %d\r\n\r\n" % len(body), body)
    assert answer.startswith(b"HTTP/1.1 413"), "it was read as far as the limit of bodies, which is lower here"


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: local"], ids=["nothing", "half a head"])
async def test_a_head_that_does_not_come_is_not_waited_for(app: FastAPI, begun: bytes) -> None:
    shutdown = asyncio.Event()
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(app, "127.0.0.1", 0, shutdown, ready=port.set_result, head_seconds=0.1))
    assert await answered(await port, begun) == b""
    shutdown.set()
    await task
