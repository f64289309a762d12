"""Server-sent events as frames: order, marks, refusals, outages."""

from __future__ import annotations

import asyncio

import httpx

from adapters.http.sse import frames
from millrace.contracts.wire import Accepted, Context, Refused
from tests.unit.http.memory_gateway import MemoryGateway

CONTEXT = Context(tenant="default", message_id="m")


async def read(gateway: MemoryGateway, after: str, wait: float = 0.01, limit: int = 2) -> Accepted | Refused:
    body = {"after": after, "pattern": "#", "limit": limit, "wait": wait}
    return await gateway.query("log.read", body, CONTEXT)


async def texts(gateway: MemoryGateway, start: str, count: int) -> list[str]:
    stream = frames(lambda after: read(gateway, after), await read(gateway, start))
    return [(await anext(stream)).decode() for _ in range(count)]


async def test_what_was_missed_comes_in_order_and_then_the_mark(gateway: MemoryGateway) -> None:
    for index in range(3):
        await gateway.record("shop.sold", CONTEXT, "s", {"n": index})
    retry, *rest = await texts(gateway, "beginning", 5)
    assert retry.startswith("retry: ")
    whole = "".join(rest)
    assert [line for line in whole.splitlines() if line.startswith("id: ")] == [
        "id: e1-1", "id: e1-2", "id: e1-3", "id: e1-3", "id: e1-3",
    ]  # fmt: skip
    assert whole.index('"n":2') < whole.index("event: caught-up") < whole.index(": heartbeat")
    assert "event: shop.sold\ndata: {" in whole


async def test_an_outage_pauses_the_stream_and_loses_nothing(gateway: MemoryGateway) -> None:
    start = await read(gateway, "head")
    stream = frames(lambda after: read(gateway, after), start)
    assert b"retry" in await anext(stream)
    assert b"caught-up" in await anext(stream)
    gateway.outages = 2
    await gateway.record("shop.sold", CONTEXT, "s", {})
    assert [await anext(stream), await anext(stream)] == [b": unavailable\n\n"] * 2
    assert b"event: shop.sold" in await anext(stream)


async def test_a_reader_that_fell_behind_the_archive_is_told(gateway: MemoryGateway) -> None:
    stream = frames(lambda after: read(gateway, after), await read(gateway, "head"))
    await anext(stream)
    await anext(stream)
    gateway.first = 10
    rest = [chunk async for chunk in stream]
    assert len(rest) == 1
    assert rest[0].startswith(b"id: \nevent: gone\ndata: {")


async def test_a_position_of_another_log_is_told_as_a_reset(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/events", headers={"Last-Event-ID": "other-5"})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert "content-length" not in answer.headers
    assert "id: \nevent: reset\ndata: {" in answer.text


async def test_a_position_before_the_archive_is_gone(client: httpx.AsyncClient, gateway: MemoryGateway) -> None:
    gateway.first = 5
    answer = await client.get("/api/events?after=e1-1")
    assert (answer.status_code, answer.json()["code"]) == (410, "gone")


async def test_a_wrong_pattern_is_invalid(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/events?pattern=job..x")).status_code == 422
    assert (await client.get("/api/events?patern=x")).status_code == 422


async def test_an_event_is_published(client: httpx.AsyncClient, gateway: MemoryGateway) -> None:
    body = {"event_type": "financial.invoice.created", "payload": {"total": 7}}
    answer = await client.post("/api/events", json=body)
    assert answer.status_code == 201
    assert gateway.events[0]["eventtype"] == "financial.invoice.created"
    assert (await client.post("/api/events", json={"event_type": "job.completed"})).status_code == 422


async def test_big_pages_are_written_in_bounded_chunks(gateway: MemoryGateway) -> None:
    for _ in range(8):
        await gateway.record("shop.sold", CONTEXT, "s", {"text": "x" * 20_000})
    page = await read(gateway, "beginning", limit=100)
    stream = frames(lambda after: read(gateway, after), page)
    await anext(stream)
    chunks = [await asyncio.wait_for(anext(stream), 1) for _ in range(2)]
    assert all(65_536 <= len(chunk) < 65_536 + 21_000 for chunk in chunks)
