"""The faults of the proxy really happen: one that does nothing would make every test that uses it pass."""

from __future__ import annotations

import asyncio
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import psutil
import pytest

from tests.faults.harness.processes import free_port
from tests.faults.harness.proxy import Blackhole, CutAfter, Fault, FaultProxy, Latency, Pass, Refuse, Reset, Slow
from tests.faults.harness.waiting import until

SILENCE_SECONDS = 0.3
SILENT = [Blackhole(), Blackhole("c2s"), Blackhole("s2c"), Latency(60), Slow(0.01)]


@asynccontextmanager
async def echo() -> AsyncIterator[int]:
    """A server that sends back what it gets; yields its port."""

    async def answer(reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    port = free_port()
    server = await asyncio.start_server(answer, "127.0.0.1", port)
    async with server:
        yield port


@asynccontextmanager
async def proxied() -> AsyncIterator[FaultProxy]:
    async with echo() as port:
        proxy = await FaultProxy(("127.0.0.1", port)).start()
        try:
            yield proxy
        finally:
            await proxy.close()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[StreamReader, StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def ask(reader: StreamReader, writer: StreamWriter, text: bytes) -> bytes:
    writer.write(text)
    return await reader.readexactly(len(text))


async def silent(reader: StreamReader) -> bool:
    try:
        async with asyncio.timeout(SILENCE_SECONDS):
            await reader.readexactly(1)
    except TimeoutError:
        return True
    return False


async def test_a_proxy_lets_through_what_it_is_given_and_leaves_nothing_behind() -> None:
    size = 64 * 1024 * 1024
    tasks = asyncio.all_tasks()
    async with proxied() as proxy:
        async with connected(proxy.port) as (reader, writer):
            began = time.monotonic()

            async def send() -> None:
                for _ in range(64):
                    writer.write(b"x" * (size // 64))
                    await writer.drain()
                writer.write_eof()

            sending = asyncio.create_task(send())
            got = 0
            while data := await reader.read(2**20):
                got += len(data)
            await sending
            print(f"{size / 1e6 / (time.monotonic() - began):.0f} MB/s there and back")
            assert got == size
        await until(lambda: not proxy.pairs, 5, "an ended connection is forgotten")
        async with connected(proxy.port) as (reader, writer):
            assert await ask(reader, writer, b"a") == b"a"
            await proxy.close()
            assert not [each for each in psutil.Process().net_connections() if each.laddr.port == proxy.port]
    await until(lambda: asyncio.all_tasks() <= tasks, 5, "no task is left")


async def test_a_refusing_proxy_resets_what_is_open_and_comes_back_on_its_port() -> None:
    async with proxied() as proxy:
        async with connected(proxy.port) as (reader, writer):
            assert await ask(reader, writer, b"a") == b"a"
            await proxy.set(Refuse())
            with pytest.raises(ConnectionResetError):
                await reader.readexactly(1)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", proxy.port)
        await proxy.set(Pass())
        async with connected(proxy.port) as (reader, writer):
            assert await ask(reader, writer, b"b") == b"b"


async def test_a_resetting_proxy_resets_old_and_new_connections() -> None:
    async with proxied() as proxy:
        async with connected(proxy.port) as (reader, writer):
            assert await ask(reader, writer, b"a") == b"a"
            await proxy.set(Reset())
            with pytest.raises(ConnectionResetError):
                await reader.readexactly(1)
        async with connected(proxy.port) as (reader, _):
            with pytest.raises(ConnectionResetError):
                await reader.readexactly(1)


@pytest.mark.parametrize("fault", SILENT)
async def test_nothing_arrives_until_the_fault_is_over(fault: Fault) -> None:
    async with proxied() as proxy, connected(proxy.port) as (reader, writer):
        await proxy.set(fault)
        writer.write(b"a")
        assert await silent(reader)
        await proxy.set(Pass())
        assert await reader.readexactly(1) == b"a"


async def test_a_cut_comes_after_the_bytes_that_it_allows() -> None:
    async with proxied() as proxy:
        async with connected(proxy.port) as (reader, writer):
            await proxy.set(CutAfter(5, "s2c"))
            writer.write(b"1234567890")
            assert await reader.readexactly(5) == b"12345"
            with pytest.raises(ConnectionResetError):
                await reader.readexactly(1)
        async with connected(proxy.port) as (reader, writer):
            assert await ask(reader, writer, b"again") == b"again"


@pytest.mark.parametrize("fault", [Latency(0.05), Slow(20_000), CutAfter(10_000)])
async def test_what_is_only_late_slow_or_cut_later_arrives_whole(fault: Fault) -> None:
    async with proxied() as proxy, connected(proxy.port) as (reader, writer):
        await proxy.set(fault)
        text = bytes(range(200)) * 5
        assert await ask(reader, writer, text) == text
        assert await ask(reader, writer, text) == text
