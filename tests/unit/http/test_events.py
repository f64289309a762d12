"""Server-sent events as frames: order, marks, refusals, outages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import httpx

from adapters.http.live_formats import SseFormat
from handlers.live import Hub
from handlers.live_feed import MOST_FRAMES, LiveFeed
from handlers.live_topics import Topic
from millrace.contracts.wire import Context
from tests.support.eventually import eventually
from tests.unit.http.memory_gateway import MemoryGateway

CONTEXT = Context(tenant="default", message_id="m")
DEADLINE = 60.0


def feed(hub: Hub, after: str, pattern: str = "#") -> LiveFeed:
    return LiveFeed(hub, Topic("default", SseFormat(), pattern), after, CONTEXT, on_slow=lambda _: None, heartbeat=0.1)


async def following(hub: Hub, after: str, pattern: str = "#") -> AsyncGenerator[bytes, None]:
    """A stream of events that has said all that there was."""
    stream = feed(hub, after, pattern).frames()
    while b"caught-up" not in await asyncio.wait_for(anext(stream), DEADLINE):
        continue
    return stream


async def texts(stream: AsyncGenerator[bytes, None], last: str) -> str:
    """What the stream says, until it says `last`."""
    whole = ""
    async with asyncio.timeout(DEADLINE):
        while last not in whole:
            whole += (await anext(stream)).decode()
    return whole


async def handed_out(hub: Hub, position: int) -> None:
    async def reached() -> bool:
        return hub.position >= position

    await eventually(reached)


async def test_what_was_missed_comes_in_order_and_then_the_mark(gateway: MemoryGateway, hub: Hub) -> None:
    for index in range(3):
        await gateway.record("shop.sold", CONTEXT, "s", {"n": index})
    whole = await texts(feed(hub, "beginning").frames(), ": heartbeat\nid: e1-3")
    assert [line for line in whole.splitlines() if line.startswith("id: ")] == [
        "id: e1-1", "id: e1-2", "id: e1-3", "id: e1-3", "id: e1-3",
    ]  # fmt: skip
    assert whole.index('"n":2') < whole.index("event: caught-up") < whole.index(": heartbeat")
    assert "event: shop.sold\ndata: {" in whole


async def test_an_outage_pauses_the_stream_and_loses_nothing(gateway: MemoryGateway, hub: Hub) -> None:
    gateway.outages = 2
    await gateway.record("shop.sold", CONTEXT, "s", {})
    stream = feed(hub, "beginning").frames()
    assert [await anext(stream), await anext(stream)] == [b": unavailable\n\n"] * 2
    assert b"event: shop.sold" in await anext(stream)


async def test_a_reader_that_fell_behind_the_archive_is_told(gateway: MemoryGateway, hub: Hub) -> None:
    stream = await following(hub, "head")
    gateway.first = 10_000
    # More than the feed holds, so that it reads on from the log.
    for _ in range(MOST_FRAMES + 2):
        await gateway.record("shop.sold", CONTEXT, "s", {})
    await handed_out(hub, MOST_FRAMES + 2)
    async with asyncio.timeout(DEADLINE):
        rest = [chunk async for chunk in stream]
    assert rest[-1].startswith(b"id: \nevent: gone\ndata: {")


async def test_who_does_not_read_in_a_burst_reads_on_from_the_log(gateway: MemoryGateway, hub: Hub) -> None:
    stream = await following(hub, "head")
    count = 3 * MOST_FRAMES
    for index in range(count):
        await gateway.record("shop.sold", CONTEXT, "s", {"n": index})
    await handed_out(hub, count)
    whole = await texts(stream, f'"n":{count - 1}')
    assert [line for line in whole.splitlines() if line.startswith("event: shop")] == ["event: shop.sold"] * count
    ids = [int(line.removeprefix("id: e1-")) for line in whole.splitlines() if line.startswith("id: ")]
    assert ids == sorted(ids)


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


async def test_big_pages_are_written_in_bounded_chunks(gateway: MemoryGateway, hub: Hub) -> None:
    for _ in range(8):
        await gateway.record("shop.sold", CONTEXT, "s", {"text": "x" * 20_000})
    stream = feed(hub, "beginning").frames()
    chunks = [await asyncio.wait_for(anext(stream), DEADLINE) for _ in range(2)]
    assert all(65_536 <= len(chunk) < 65_536 + 21_000 for chunk in chunks)
