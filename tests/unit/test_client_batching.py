from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from millrace.batching import Batcher, Limits
from millrace.errors import Unavailable
from millrace.transport import Origin, Reply

ACME, GLOBEX = Origin("acme"), Origin("globex")


class Recorder:
    """Stands where the transport is: keeps what was sent and answers each command with its own number."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any, Origin, str]] = []
        self.reached = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self.refuse_arrays = False

    async def send(self, name: str, body: bytes, origin: Origin, message_id: str) -> Reply:
        content = json.loads(body)
        self.sent.append((name, content, origin, message_id))
        self.reached.set()
        await self.open.wait()
        if not isinstance(content, list):
            return {"ok": True, "result": content}
        if self.refuse_arrays:
            return {"ok": False, "error": {"code": "malformed"}}
        return {"ok": True, "results": [{"ok": True, "result": item["body"]} for item in content]}


def numbered(number: int) -> bytes:
    return json.dumps({"n": number}).encode()


async def test_commands_of_one_moment_travel_in_one_message_and_each_gets_its_own_reply() -> None:
    recorder = Recorder()
    batcher = Batcher(recorder.send)
    answers = [await batcher.put("job.enqueue", numbered(n), ACME, f"id-{n}") for n in range(5)]
    assert [reply["result"]["n"] for reply in await asyncio.gather(*answers)] == [0, 1, 2, 3, 4]
    [(name, items, origin, _)] = recorder.sent
    assert (name, origin) == ("job.enqueue", ACME)
    assert [item["id"] for item in items] == ["id-0", "id-1", "id-2", "id-3", "id-4"]


async def test_a_command_alone_is_sent_as_it_is_under_its_own_id() -> None:
    recorder = Recorder()
    await (await Batcher(recorder.send).put("job.cancel", numbered(7), ACME, "id-7"))
    assert recorder.sent == [("job.cancel", {"n": 7}, ACME, "id-7")]


async def test_only_commands_of_one_name_and_origin_share_a_message() -> None:
    recorder = Recorder()
    batcher = Batcher(recorder.send)
    places = [("job.enqueue", ACME), ("job.enqueue", GLOBEX), ("job.cancel", ACME)]
    await asyncio.gather(*[await batcher.put(name, numbered(1), origin, "id") for name, origin in places])
    assert [(name, origin) for name, _, origin, _ in recorder.sent] == places


async def test_a_message_holds_no_more_items_and_bytes_than_allowed() -> None:
    recorder = Recorder()
    batcher = Batcher(recorder.send, Limits(items=3, size=1_000, in_flight=100))
    await asyncio.gather(*[await batcher.put("few", numbered(n), ACME, f"id-{n}") for n in range(7)])
    large = json.dumps({"text": "x" * 400}).encode()
    await asyncio.gather(*[await batcher.put("large", large, ACME, f"id-{n}") for n in range(4)])
    sizes = [(name, len(content) if isinstance(content, list) else 1) for name, content, _, _ in recorder.sent]
    assert sizes == [("few", 3), ("few", 3), ("few", 1), ("large", 2), ("large", 2)]


async def test_what_comes_while_all_messages_are_in_flight_gathers_for_the_next_one() -> None:
    recorder = Recorder()
    recorder.open.clear()
    batcher = Batcher(recorder.send, Limits(in_flight=1))
    first = await batcher.put("job.enqueue", numbered(0), ACME, "id-0")
    await recorder.reached.wait()
    later = [await batcher.put("job.enqueue", numbered(n), ACME, f"id-{n}") for n in range(1, 50)]
    recorder.open.set()
    await asyncio.gather(first, *later)
    assert len(recorder.sent) == 2


async def test_whoever_brings_more_than_fits_waits_until_others_are_answered() -> None:
    recorder = Recorder()
    recorder.open.clear()
    batcher = Batcher(recorder.send, Limits(capacity=2))
    first, second = [await batcher.put("job.enqueue", numbered(n), ACME, f"id-{n}") for n in range(2)]
    third = asyncio.create_task(batcher.put("job.enqueue", numbered(2), ACME, "id-2"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not third.done()
    recorder.open.set()
    await asyncio.gather(first, second, await third)


async def test_one_unreadable_command_does_not_harm_those_that_share_its_message() -> None:
    recorder = Recorder()
    recorder.refuse_arrays = True
    batcher = Batcher(recorder.send)
    answers = [await batcher.put("job.enqueue", numbered(n), ACME, f"id-{n}") for n in range(3)]
    assert [reply["ok"] for reply in await asyncio.gather(*answers)] == [True, True, True]
    assert [message_id for _, _, _, message_id in recorder.sent[1:]] == ["id-0", "id-1", "id-2"]


async def test_closing_fails_what_has_not_been_answered() -> None:
    recorder = Recorder()
    recorder.open.clear()
    batcher = Batcher(recorder.send, Limits(in_flight=1, items=1))
    waiting = [await batcher.put("job.enqueue", numbered(n), ACME, f"id-{n}") for n in range(3)]
    await recorder.reached.wait()
    await batcher.close()
    for answer in waiting:
        with pytest.raises(Unavailable):
            await answer
    with pytest.raises(Unavailable):
        await batcher.put("job.enqueue", numbered(9), ACME, "id-9")
