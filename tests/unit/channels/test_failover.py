"""Failover: who is asked, who rests, and what the channel says in the end."""

from __future__ import annotations

import asyncio

import pytest

from adapters.channels.failover import MAX_REST_SECONDS, REST_SECONDS, Failover
from adapters.channels.provider import Deferred, Unconfigured
from adapters.contracts.channels import a_delivery
from domain.channels import Delivery, NotConfigured, Outcome, Rejected, Sent, Unavailable

DOWN = Unavailable("first", "down")


class Scripted:
    """A provider that answers what it is told to, and counts."""

    def __init__(self, name: str, *outcomes: Outcome | Exception) -> None:
        self.name, self.outcomes, self.calls = name, list(outcomes), 0
        self.gate: asyncio.Event | None = None
        self.entered = asyncio.Event()

    async def send(self, delivery: Delivery) -> Outcome:
        self.calls += 1
        self.entered.set()
        if self.gate is not None:
            await self.gate.wait()
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def check(self) -> str | None:
        return None

    async def close(self) -> None:
        """Nothing is open."""


class Time:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


SECOND = Sent("second")


async def test_the_first_that_works_is_used_and_named(time: Time) -> None:
    first, second = Scripted("first", Sent("first")), Scripted("second", SECOND)
    assert await Failover("email", [first, second], time).send(a_delivery()) == Sent("first")
    assert second.calls == 0


async def test_the_next_one_helps_out_and_the_first_rests(time: Time) -> None:
    first, second = Scripted("first", DOWN), Scripted("second", SECOND)
    channel = Failover("email", [first, second], time)
    assert await channel.send(a_delivery()) == Sent("second", detail="first: down")
    assert await channel.send(a_delivery()) == Sent("second", detail="first: it rests after a failure")
    assert (first.calls, second.calls) == (1, 2)


async def test_after_its_rest_one_delivery_tries_it_while_the_others_pass_it_over(time: Time) -> None:
    first, second = Scripted("first", DOWN, Sent("first")), Scripted("second", SECOND)
    channel = Failover("email", [first, second], time)
    await channel.send(a_delivery())
    time.now += REST_SECONDS
    first.gate = asyncio.Event()
    first.entered.clear()
    trial = asyncio.create_task(channel.send(a_delivery()))
    await first.entered.wait()
    assert await channel.send(a_delivery()) == Sent("second", detail="first: it rests after a failure")
    first.gate.set()
    assert await trial == Sent("first")
    assert await channel.send(a_delivery()) == Sent("first")


async def test_a_cancelled_trial_leaves_room_for_the_next(time: Time) -> None:
    first, second = Scripted("first", DOWN, Sent("first")), Scripted("second", SECOND)
    channel = Failover("email", [first, second], time)
    await channel.send(a_delivery())
    time.now += REST_SECONDS
    first.gate = asyncio.Event()
    first.entered.clear()
    trial = asyncio.create_task(channel.send(a_delivery()))
    await first.entered.wait()
    trial.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trial
    first.gate = None
    assert await channel.send(a_delivery()) == Sent("first")


async def test_the_rest_doubles_and_has_an_end(time: Time) -> None:
    first = Scripted("first", DOWN)
    channel = Failover("email", [first], time)
    rests = []
    for _ in range(8):
        await channel.send(a_delivery())
        outcome = await channel.send(a_delivery())
        assert isinstance(outcome, Unavailable)
        assert outcome.retry_after is not None
        rests.append(outcome.retry_after)
        time.now += outcome.retry_after
    assert rests[:3] == [REST_SECONDS, 2 * REST_SECONDS, 4 * REST_SECONDS]
    assert rests[-1] == MAX_REST_SECONDS


async def test_many_failures_at_once_are_one_trouble(time: Time) -> None:
    first = Scripted("first", DOWN)
    channel = Failover("email", [first], time)
    await asyncio.gather(*(channel.send(a_delivery()) for _ in range(10)))
    outcome = await channel.send(a_delivery())
    assert isinstance(outcome, Unavailable)
    assert outcome.retry_after == REST_SECONDS


async def test_a_provider_that_says_when_is_believed_within_bounds(time: Time) -> None:
    channel = Failover("email", [Scripted("first", Unavailable("first", "busy", 100_000.0))], time)
    await channel.send(a_delivery())
    outcome = await channel.send(a_delivery())
    assert isinstance(outcome, Unavailable)
    assert outcome.retry_after == MAX_REST_SECONDS


@pytest.mark.parametrize("outcome", [Rejected("first", "no such user"), Deferred("first", "greylisted")])
async def test_what_the_recipient_has_caused_is_final_and_nobody_rests(time: Time, outcome: Outcome) -> None:
    first, second = Scripted("first", outcome), Scripted("second", SECOND)
    channel = Failover("email", [first, second], time)
    assert await channel.send(a_delivery()) == outcome
    assert await channel.send(a_delivery()) == outcome
    assert (first.calls, second.calls) == (2, 0)


async def test_not_configured_is_passed_over_and_is_no_failure(time: Time) -> None:
    missing = Unconfigured("first", "the key is missing")
    assert await Failover("email", [missing, Scripted("second", SECOND)], time).send(a_delivery()) == SECOND
    assert await Failover("email", [missing], time).send(a_delivery()) == NotConfigured("the key is missing")


async def test_when_one_is_down_and_the_other_not_configured_trying_again_helps(time: Time) -> None:
    channel = Failover("email", [Unconfigured("first", "no key"), Scripted("second", DOWN)], time)
    assert isinstance(await channel.send(a_delivery()), Unavailable)


async def test_when_all_are_down_every_reason_is_told(time: Time) -> None:
    providers = [Scripted("first", DOWN), Scripted("second", Unavailable("second", "also down", 5.0))]
    outcome = await Failover("email", providers, time).send(a_delivery())
    assert outcome == Unavailable("first, second", "first: down; second: also down", 5.0)


async def test_a_provider_that_raises_counts_as_down_and_its_text_is_not_told(time: Time) -> None:
    first, second = Scripted("first", RuntimeError("key=secret")), Scripted("second", SECOND)
    told = await Failover("email", [first, second], time).send(a_delivery())
    assert told == Sent("second", detail="first: it raised RuntimeError")
    only = await Failover("email", [Scripted("first", RuntimeError("key=secret"))], time).send(a_delivery())
    assert only == Unavailable("first", "it raised RuntimeError")


async def test_one_delivery_that_makes_a_provider_raise_keeps_nobody_else_from_using_it(time: Time) -> None:
    first = Scripted("first", ValueError("this one"), Sent("first"))
    channel = Failover("email", [first], time)
    assert isinstance(await channel.send(a_delivery()), Unavailable)
    assert await channel.send(a_delivery()) == Sent("first")
