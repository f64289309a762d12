"""Durable subscriptions on the real service: one worker at a time delivers each, and nothing is lost between them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aio_pika
import pytest

from millrace import Event, Millrace, Worker
from millrace.contracts.wire import Token
from millrace.ids import uuid7
from tests.support.eventually import eventually
from tests.support.service import RunningService, running_service

LEASE = 2.0


@pytest.fixture
async def service(database_url: str, rabbitmq_url: str) -> AsyncIterator[RunningService]:
    async with running_service(database_url, rabbitmq_url) as service:
        yield service


@pytest.fixture(params=["http", "amqp"])
def url(request: pytest.FixtureRequest, service: RunningService) -> str:
    return service.http if request.param == "http" else str(service.amqp)


class Application:
    """One process's view: an application with a subscription to orders, and the worker that delivers it.

    Attributes:
        handled: numbers of the orders, in the order in which they were handled here.
    """

    def __init__(self, url: str, tenant: str, max_attempts: int) -> None:
        self.client = Millrace(url, tenant=tenant)
        self.handled: list[int] = []
        self.fails: Callable[[int], bool] = lambda n: False

        @self.client.on("order.#", name="orders", start="beginning", max_attempts=max_attempts)
        async def on_order(event: Event) -> None:
            if self.fails(event.payload["n"]):
                raise ValueError(f"not {event.payload['n']}")
            self.handled.append(event.payload["n"])

        self.worker = Worker(self.client, grace=5.0, subscription_lease=LEASE)
        self._running: asyncio.Task[None] | None = None

    def run(self) -> None:
        self._running = asyncio.create_task(self.worker.run(signals=False))

    async def stop(self) -> None:
        self.worker.stop()
        await asyncio.gather(*filter(None, [self._running]), return_exceptions=True)

    async def die(self) -> None:
        """The worker ends without telling anybody."""
        assert self._running is not None
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)


@asynccontextmanager
async def applications(url: str, *, count: int, max_attempts: int = 1) -> AsyncIterator[list[Application]]:
    # A tenant of its own: the database is shared by the tests of the session.
    tenant = f"t-{uuid7()}"
    made = [Application(url, tenant, max_attempts) for _ in range(count)]
    try:
        yield made
    finally:
        for each in made:
            await each.stop()
            await each.client.close()


async def publish(application: Application, numbers: range) -> None:
    await asyncio.gather(*(application.client.publish("order.placed", {"n": n}) for n in numbers))


async def until_handled(applications: list[Application], numbers: range, seconds: float = 10.0) -> Counter[int]:
    async def handled() -> Counter[int]:
        return Counter(n for each in applications for n in each.handled)

    return await eventually(handled, lambda seen: seen.keys() >= set(numbers), seconds)


async def acknowledged(application: Application) -> int:
    """How far its subscription is acknowledged, 0 before the read model knows of it."""
    found = await application.client.subscriptions.list()
    return Token.parse(found[0].position).position if found else 0


async def test_two_workers_handle_every_event_exactly_once_between_them(url: str) -> None:
    async with applications(url, count=2) as (first, second):
        await publish(first, range(200))
        first.run()
        second.run()
        await until_handled([first, second], range(200))
        await publish(second, range(200, 300))
        seen = await until_handled([first, second], range(300))
        assert seen == Counter(range(300))
        assert not (first.handled and second.handled), "one of them delivers, the other one waits"


async def test_another_worker_goes_on_when_the_lease_of_one_that_died_has_run_out(url: str) -> None:
    async with applications(url, count=2) as (first, second):
        first.run()
        await publish(first, range(100))
        await until_handled([first], range(100))
        second.run()
        await first.die()
        await publish(second, range(100, 200))
        seen = await until_handled([first, second], range(200), LEASE + 10)
        assert set(range(100, 200)) <= set(second.handled)
        assert all(seen[n] == 1 for n in range(100, 200))


async def test_another_worker_goes_on_at_once_after_a_graceful_stop_and_repeats_nothing(
    service: RunningService,
) -> None:
    async with applications(service.http, count=2) as (first, second):
        first.worker = Worker(first.client, subscription_lease=600.0)
        first.run()
        await publish(first, range(100))
        await until_handled([first], range(100))
        second.run()
        await first.stop()
        await publish(second, range(100, 200))
        assert await until_handled([first, second], range(200)) == Counter(range(200))


async def test_a_poison_event_is_retried_then_set_aside_and_delivery_goes_on(service: RunningService) -> None:
    async with applications(service.http, count=1, max_attempts=2) as (application,):
        tried: list[int] = []
        application.fails = lambda n: n == 3 and not tried.append(n)  # type: ignore[func-returns-value]
        for n in range(6):
            await publish(application, range(n, n + 1))
        application.run()
        await until_handled([application], range(4, 6))
        assert (tried, application.handled) == ([3, 3], [0, 1, 2, 4, 5])
        subscription = await eventually(
            lambda: application.client.subscriptions.get("orders"), lambda found: found is not None and found.parked
        )
        assert subscription is not None
        [parked] = subscription.parked
        assert (parked["error"], parked["attempts"]) == ("ValueError: not 3", 2)


async def test_a_restarted_worker_goes_on_behind_the_acknowledged_position(service: RunningService) -> None:
    async with applications(service.http, count=1) as (application,):
        application.run()
        await publish(application, range(50))
        await until_handled([application], range(50))
        await application.stop()
        await publish(application, range(50, 100))
        application.worker = Worker(application.client, subscription_lease=LEASE)
        application.run()
        assert await until_handled([application], range(100)) == Counter(range(100))


async def test_progress_is_acknowledged_within_seconds_and_then_nothing_more_is_recorded(
    service: RunningService,
) -> None:
    async with applications(service.http, count=1) as (application,):
        application.run()
        await publish(application, range(20))
        await until_handled([application], range(20))
        orders = await application.client.query("log.read", {"after": "beginning", "pattern": "order.#"})
        last = Token.parse(orders["events"][-1]["position"]).position
        before = await eventually(lambda: acknowledged(application), lambda at: at >= last, 20.0)
        # Its own acknowledgements are all that happens now; two more seconds would show them feeding one another.
        async with asyncio.timeout(60):
            quiet = await application.client.query(
                "log.read", {"after": "head", "pattern": "subscription.#", "wait": 2.5}, hold=2.5
            )
        assert quiet["events"] == []
        assert await acknowledged(application) == before


async def test_leases_and_renewals_do_not_go_through_the_queue_of_commands(service: RunningService) -> None:
    connection = await aio_pika.connect(str(service.amqp))
    async with connection, connection.channel() as channel, applications(str(service.amqp), count=1) as (application,):
        watched = await channel.declare_queue(exclusive=True)
        await watched.bind("millrace.claims", "#")
        job = {"worker": "w", "attempts": [{"job_id": "none", "attempt": 1}]}
        assert (await application.client.execute("job.renew", job)).result["lost"] == job["attempts"]
        application.run()
        seen = set()
        async with asyncio.timeout(60), watched.iterator() as messages:
            async for message in messages:
                await message.ack()
                assert message.delivery_mode is aio_pika.DeliveryMode.NOT_PERSISTENT
                seen.add((message.routing_key or "").partition(".")[2])
                if {"job.renew", "subscription.lease"} <= seen:
                    break


async def test_events_are_followed_from_a_position(url: str) -> None:
    async with applications(url, count=1) as (application,):
        client = application.client
        await publish(application, range(10))
        positions = []
        async for event in client.events("order.#", after="beginning"):
            positions.append(event.position)
            if len(positions) == 10:
                break
        after: list[str] = []
        async for event in client.events("order.#", after=positions[4]):
            after.append(event.position)
            if len(after) == 5:
                break
        assert after == positions[5:]


async def test_commands_of_one_message_belong_to_correlations_of_their_own(url: str) -> None:
    async with applications(url, count=1) as (application,):
        client = application.client
        jobs = await client.jobs.enqueue_many({"name": "none", "data": {"n": n}} for n in range(5))
        origins = [(await client.history("job", job.id))[0].correlationid for job in jobs]
        assert len(set(origins)) == 5


async def test_only_the_holder_renews_and_gives_up_a_lease(service: RunningService) -> None:
    async with applications(service.http, count=1) as (application,):
        await application.client.subscriptions.create("mine", "order.#")

        async def lease(worker: str, seconds: float) -> bool:
            body = {"name": "mine", "worker": worker, "seconds": seconds}
            return bool((await application.client.execute("subscription.lease", body)).result["held"])

        assert await lease("a", 60)
        assert not await lease("b", 60)
        assert not await lease("b", 0)
        assert not await lease("b", 60), "giving up what one does not have changes nothing"
        assert await lease("a", 1)
        assert await eventually(lambda: lease("b", 60))
        assert not await lease("a", 60)
        assert not await lease("b", 0)
        assert await lease("a", 60)


async def test_many_workers_that_ask_at_once_get_one_lease(service: RunningService) -> None:
    async with applications(service.http, count=1) as (application,):
        await application.client.subscriptions.create("mine", "order.#")
        bodies = [{"name": "mine", "worker": f"w{n}", "seconds": 30} for n in range(20)]
        answers = await asyncio.gather(*(application.client.execute("subscription.lease", body) for body in bodies))
        assert sum(answer.result["held"] for answer in answers) == 1
