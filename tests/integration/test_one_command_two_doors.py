"""HTTP and AMQP lead to the same commands: with the same id it is one command, and either door is enough."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import aio_pika
import httpx
import pytest

from millrace import Event, JobStatus, Millrace, Worker
from tests.integration.amqp.caller import Caller
from tests.support.running import Running, running, until

COPIES = 25


@pytest.fixture
async def service(fresh_database_url: str, rabbitmq_url: str) -> AsyncIterator[Running]:
    async with running(fresh_database_url, rabbitmq_url) as service:
        yield service


@pytest.fixture
async def caller(rabbitmq_url: str, service: Running) -> AsyncIterator[Caller]:
    async with await aio_pika.connect(rabbitmq_url, timeout=60) as connection, connection.channel() as channel:
        yield await Caller.on(channel)


async def over_http(client: httpx.AsyncClient, message_id: str, body: object) -> dict[str, Any]:
    answer = await client.post("/api/commands/job.enqueue", json=body, headers={"Idempotency-Key": message_id})
    reply: dict[str, Any] = answer.json()
    return reply


async def test_fifty_copies_at_once_over_both_are_one_event_and_fifty_equal_answers(
    service: Running, caller: Caller, fresh_database_url: str
) -> None:
    message_id, body = uuid4().hex, {"name": "transcribe", "data": {"n": 1}}
    async with service.client() as client:
        answers = await asyncio.gather(
            *(over_http(client, message_id, body) for _ in range(COPIES)),
            *(caller.call("default.job.enqueue", body, message_id=message_id) for _ in range(COPIES)),
        )
        assert answers[0]["ok"]
        assert {json.dumps(answer, sort_keys=True) for answer in answers} == {json.dumps(answers[0], sort_keys=True)}
        page = (await client.post("/api/queries/log.read", json={})).json()["result"]
        assert [event["eventtype"] for event in page["events"]] == ["job.enqueued"]
        refused = await over_http(client, message_id, {"name": "other"})
        assert refused["error"]["code"] == "idempotency-mismatch"
    # Another process remembers the answer as well.
    async with running(fresh_database_url) as other, other.client() as client:
        assert await over_http(client, message_id, body) == answers[0]


async def test_a_batch_sent_to_both_is_carried_out_once(service: Running, caller: Caller) -> None:
    message_id, batch = uuid4().hex, [{"name": "a"}, {"id": "own", "body": {"name": "b"}}]
    async with service.client() as client:
        first, second = await asyncio.gather(
            over_http(client, message_id, batch), caller.call("default.job.enqueue", batch, message_id=message_id)
        )
        assert first == second
        alone = await over_http(client, "own", {"name": "b"})
        assert alone == first["results"][1]


async def test_without_http_the_client_does_everything_over_amqp(fresh_database_url: str, rabbitmq_url: str) -> None:
    async with (
        running(fresh_database_url, rabbitmq_url, http=False) as service,
        Millrace(rabbitmq_url, timeout=10) as app,
    ):
        assert service.url == ""
        heard: list[str] = []

        @app.job
        async def double(n: int) -> int:
            return 2 * n

        @app.on("shop.#", name="stock", start="beginning")
        async def sold(event: Event) -> None:
            heard.append(event.payload["article"])

        worker = Worker(app)
        working = asyncio.create_task(worker.run(signals=False))
        async with asyncio.timeout(60):
            await worker.started.wait()
            job = await double.enqueue(21)
            assert await app.jobs.result(job.id, timeout=10) == 42
            await app.publish("shop.item.sold", {"article": "lamp"})
            jobs = await app.jobs.enqueue_many({"name": "later", "delay": 3_600} for _ in range(20))
            assert await app.jobs.cancel(jobs[0].id)
            assert await app.jobs.get_status(jobs[0].id) is JobStatus.CANCELLED
            assert len(await app.jobs.list(name="later", limit=100)) == 20
            stats = await app.jobs.stats()
            assert (stats.completed, stats.delayed, stats.cancelled, stats.workers) == (1, 19, 1, 1)
            assert (await app.history("job", job.id))[0].eventtype == "job.enqueued"
            assert (await app.state("job", job.id, at=1))["state"]["status"] == "pending"
            assert job.id in {event.subject for event in await app.why(job.id)}
            types = [event.eventtype async for event in _until(app, "shop.item.sold")]
            assert {"job.enqueued", "job.completed", "shop.item.sold"} <= set(types)
            await until(lambda: bool(heard))
            subscription = await app.subscriptions.get("stock")
            assert (heard, subscription is not None) == (["lamp"], True)
        worker.stop()
        await working


async def _until(app: Millrace, last: str) -> AsyncIterator[Event]:
    async for event in app.events("#", after="beginning"):
        yield event
        if event.eventtype == last:
            return
