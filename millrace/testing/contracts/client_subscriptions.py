"""Durable named subscriptions: their place, their settings, and what is delivered to an application's functions."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from millrace import Event, Invalid, LogReset, NonRetryable, NotFound, Refused
from millrace.contracts.event import Subscription
from millrace.events import EventStream
from millrace.testing.contracts.bench import Bench, head


async def found(bench: Bench, name: str) -> Subscription:
    subscription = await bench.app.subscriptions.get(name)
    assert subscription is not None
    return subscription


class SubscriptionsContract:
    async def test_a_subscription_is_created_once_and_changed_afterwards(self, bench: Bench) -> None:
        subscriptions = bench.app.subscriptions
        await bench.app.publish("shop.opened")
        place = await head(bench.app)
        await subscriptions.create("s", "shop.#")
        created = await found(bench, "s")
        assert (created.pattern, created.delivery, created.priority, created.max_attempts) == ("shop.#", "pull", 5, 5)
        assert (created.is_active, created.parked, created.position) == (True, (), place)
        await subscriptions.create("s", "shop.*", start="beginning", priority=9)
        changed = await found(bench, "s")
        assert (changed.pattern, changed.priority, changed.position) == ("shop.*", 9, place)
        await subscriptions.create("t", "#", start="beginning")
        listed = await bench.app.query("subscription.list", {}, min_position=await head(bench.app))
        assert [each["name"] for each in listed["subscriptions"]] == ["s", "t"]

    async def test_the_place_only_moves_forward(self, bench: Bench) -> None:
        await bench.app.subscriptions.create("s", "shop.#", start="beginning")
        older = await head(bench.app)
        await bench.app.publish("shop.opened")
        newer = await head(bench.app)
        for position in (newer, older, newer):
            await bench.app.subscriptions.acknowledge("s", position)
        assert (await found(bench, "s")).position == newer

    async def test_an_event_that_cannot_be_handled_is_set_aside_until_released(self, bench: Bench) -> None:
        await bench.app.subscriptions.create("s", "shop.#")
        await bench.app.publish("shop.opened")
        [event] = await bench.app.events("shop.#", "beginning").next_page()
        for _ in range(2):
            await bench.app.subscriptions.park("s", position=event.position, event_id=event.id, error="no", attempts=5)
        parked = await found(bench, "s")
        assert parked.position == event.position
        assert [(each["event_id"], each["error"], each["attempts"]) for each in parked.parked] == [(event.id, "no", 5)]
        assert parked.parked[0]["position"] == event.position
        await bench.app.subscriptions.release("s", event.id)
        assert (await found(bench, "s")).parked == ()
        with pytest.raises(Refused, match="parked"):
            await bench.app.subscriptions.release("s", event.id)

    async def test_a_subscription_can_be_paused(self, bench: Bench) -> None:
        await bench.app.subscriptions.create("s", "shop.#")
        await bench.app.subscriptions.pause("s")
        assert (await found(bench, "s")).is_active is False
        await bench.app.subscriptions.resume("s")
        assert (await found(bench, "s")).is_active is True

    async def test_what_is_named_must_exist(self, bench: Bench) -> None:
        assert await bench.app.subscriptions.get("nobody") is None
        with pytest.raises(NotFound):
            await bench.app.subscriptions.acknowledge("nobody", await head(bench.app))
        with pytest.raises(NotFound):
            await bench.app.subscriptions.pause("nobody")

    @pytest.mark.parametrize(
        "body",
        [
            {"name": "s", "pattern": "a..b"},
            {"name": "", "pattern": "#"},
            {"name": "s", "pattern": "#", "priority": 11},
            {"name": "s", "pattern": "#", "delivery": "pigeon"},
            {"name": "s", "pattern": "#", "start": "somewhere"},
            {"name": "s"},
        ],
    )
    async def test_settings_that_do_not_fit_are_refused(self, bench: Bench, body: dict[str, Any]) -> None:
        with pytest.raises(Invalid):
            await bench.app.execute("subscription.create", body)
        assert await bench.app.subscriptions.get("s") is None

    async def test_a_place_of_another_log_is_refused(self, bench: Bench) -> None:
        await bench.app.subscriptions.create("s", "#")
        with pytest.raises(LogReset):
            await bench.app.subscriptions.acknowledge("s", "abcdef-1")

    async def test_one_worker_at_a_time_has_a_subscription(self, bench: Bench) -> None:
        async def lease(worker: str, seconds: float = 30.0) -> bool:
            body = {"name": "s", "worker": worker, "seconds": seconds}
            return bool((await bench.app.execute("subscription.lease", body)).result["held"])

        with pytest.raises(NotFound):
            await lease("a")
        await bench.app.subscriptions.create("s", "#")
        assert [await lease("a"), await lease("b"), await lease("a")] == [True, False, True]
        assert await lease("a", 0) is False
        assert [await lease("b"), await lease("a")] == [True, False]

    async def test_events_are_delivered_in_order_and_acknowledged(self, bench: Bench) -> None:
        seen: list[tuple[str, int]] = []
        handled = asyncio.Event()

        @bench.app.on("shop.*", name="orders", start="beginning")
        async def note(event: Event) -> None:
            seen.append((event.eventtype, event.payload["n"]))
            if len(seen) == 3:
                handled.set()

        for n in range(3):
            await bench.app.publish("shop.ordered", {"n": n})
        await bench.deliver(handled)
        assert seen == [("shop.ordered", n) for n in range(3)]
        left = await EventStream(bench.app, "shop.*", (await found(bench, "orders")).position, wait=0).next_page()
        assert left.events == []

    async def test_a_plain_function_takes_events_too(self, bench: Bench) -> None:
        handled = asyncio.Event()
        loop = asyncio.get_running_loop()

        @bench.app.on("shop.*", name="plain", start="beginning")
        def note(event: Event) -> None:
            loop.call_soon_threadsafe(handled.set)

        await bench.app.publish("shop.opened")
        await bench.deliver(handled)

    async def test_an_event_that_keeps_failing_is_set_aside_and_the_next_delivered(self, bench: Bench) -> None:
        attempts: list[int] = []
        handled = asyncio.Event()

        @bench.app.on("shop.*", name="failing", start="beginning", max_attempts=2)
        async def note(event: Event) -> None:
            attempts.append(event.payload["n"])
            if event.payload["n"] == 0:
                raise ValueError("not this one")
            handled.set()

        for n in range(2):
            await bench.app.publish("shop.ordered", {"n": n})
        await bench.deliver(handled, seconds=2)
        assert attempts == [0, 0, 1]
        [parked] = (await found(bench, "failing")).parked
        assert (parked["error"], parked["attempts"]) == ("ValueError: not this one", 2)

    async def test_an_event_that_can_never_be_handled_is_set_aside_at_once(self, bench: Bench) -> None:
        attempts: list[int] = []
        handled = asyncio.Event()

        @bench.app.on("shop.*", name="never", start="beginning")
        async def note(event: Event) -> None:
            attempts.append(event.payload["n"])
            if event.payload["n"] == 0:
                raise NonRetryable("never")
            handled.set()

        for n in range(2):
            await bench.app.publish("shop.ordered", {"n": n})
        await bench.deliver(handled)
        assert attempts == [0, 1]

    async def test_what_a_subscriber_enqueues_is_linked_to_its_event(self, bench: Bench) -> None:
        handled = asyncio.Event()
        enqueued: list[str] = []

        @bench.app.on("shop.*", name="linking", start="beginning")
        async def follow(event: Event) -> None:
            enqueued.append((await bench.app.jobs.enqueue("n")).id)
            handled.set()

        event_id = await bench.app.publish("shop.opened")
        await bench.deliver(handled)
        assert {event.subject for event in await bench.app.why(event_id)} >= {event_id, enqueued[0]}
