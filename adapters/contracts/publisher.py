"""What every carrier of events to the outside bus does."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import pytest

from domain.ports import EventPublisher, Outgoing, PublishFailed

DEADLINE = 30.0
TYPE = "millrace.job.completed.v1"


class PublisherBench(Protocol):
    """A publisher, and the world outside.

    Attributes:
        publisher: carries events; nobody else does.
    """

    publisher: EventPublisher

    async def next(self) -> Outgoing:
        """The next event that a subscriber of all events has received; it has been there since before the test."""
        ...

    def outage(self) -> AbstractAsyncContextManager[None]:
        """While it lasts the bus cannot be reached; afterwards the publisher has had time to find it again."""
        ...


def events(count: int, prefix: str = "e", body: bytes = b"{}") -> list[Outgoing]:
    return [Outgoing(f"acme.job.{prefix}", f"{prefix}-{number}", TYPE, body) for number in range(count)]


async def received(bench: PublisherBench, count: int) -> list[Outgoing]:
    """The next events, so many, without their trace contexts, which the bus need not show."""
    async with asyncio.timeout(DEADLINE):
        return [(await bench.next())._replace(traceparent=None) for _ in range(count)]


class EventPublisherContract:
    """The fixture `bench` is a `PublisherBench`."""

    async def test_events_arrive_whole_and_in_order(self, bench: PublisherBench) -> None:
        wanted = events(1_000, body='{"größe": 1}'.encode())
        await bench.publisher.publish(wanted)
        assert await received(bench, 1_000) == wanted

    async def test_bodies_of_any_size_arrive(self, bench: PublisherBench) -> None:
        sizes = (0, 1, 131_064, 131_065, 1_000_000)
        wanted = [Outgoing("acme.job.sized", f"e-{size}", TYPE, b"x" * size) for size in sizes]
        await bench.publisher.publish(wanted)
        assert await received(bench, len(sizes)) == wanted

    async def test_nothing_to_publish_is_published(self, bench: PublisherBench) -> None:
        await bench.publisher.publish([])
        await bench.publisher.publish(events(1))
        assert await received(bench, 1) == events(1)

    async def test_batches_at_the_same_time_arrive_each_in_its_order(self, bench: PublisherBench) -> None:
        batches = [events(50, f"b{number}") for number in range(10)]
        await asyncio.gather(*(bench.publisher.publish(batch) for batch in batches))
        arrived = await received(bench, 500)
        for batch in batches:
            assert [event for event in arrived if event.routing_key == batch[0].routing_key] == batch

    async def test_what_nobody_has_confirmed_is_a_failure_and_arrives_when_it_is_published_again(
        self, bench: PublisherBench
    ) -> None:
        lost, after = events(5, "lost"), events(5, "after")
        async with bench.outage():
            with pytest.raises(PublishFailed):
                await bench.publisher.publish(lost)
        await bench.publisher.publish(lost)
        await bench.publisher.publish(after)
        arrived: list[Outgoing] = []
        # What was sent before the outage was noticed may have arrived, too: subscribers dedupe by the id.
        while after[-1] not in arrived:
            arrived += await received(bench, 1)
        assert list(dict.fromkeys(arrived)) == [*lost, *after]
