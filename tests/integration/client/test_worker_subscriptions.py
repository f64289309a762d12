"""A worker's subscriptions."""

from __future__ import annotations

import asyncio

from millrace import Event, Millrace
from tests.integration.client.conftest import Working
from tests.support.wire_service import WireService


async def test_a_subscription_delivers_each_event_and_sets_aside_what_fails(
    app: Millrace, working: Working, service: WireService
) -> None:
    handled: list[int] = []

    @app.on("order.#", name="orders", start="beginning", max_attempts=1)
    async def on_order(event: Event) -> None:
        if event.payload["n"] == 2:
            raise ValueError("not this one")
        handled.append(event["payload"]["n"])

    for n in range(1, 4):
        await app.publish("order.placed", {"n": n})
    async with working():
        await service.until(lambda each: each.subscriptions.get("orders", {}).get("position") == "e-3")
    assert handled == [1, 3]
    [parked] = service.subscriptions["orders"]["parked"]
    assert parked["error"] == "ValueError: not this one"


async def test_acknowledging_does_not_feed_a_subscription_to_everything(
    app: Millrace, working: Working, service: WireService
) -> None:
    seen: list[str] = []
    advanced = asyncio.Event()

    @app.on("#", name="all", start="beginning")
    def on_any(event: Event) -> None:
        seen.append(event.eventtype)
        if event.eventtype == "subscription.advanced":
            asyncio.run_coroutine_threadsafe(_set(advanced), loop)

    loop = asyncio.get_running_loop()
    await app.publish("order.placed", {})
    async with working():
        await asyncio.wait_for(advanced.wait(), 30)
    assert seen == ["order.placed", "subscription.advanced"]
    assert len(service.log) == 2


async def _set(event: asyncio.Event) -> None:
    event.set()
