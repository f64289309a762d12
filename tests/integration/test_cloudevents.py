"""CloudEvents 1.0: commands may come as them, one or many, over HTTP and AMQP; events always leave as them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aio_pika
import httpx
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractChannel

from millrace.contracts.log import CloudEvent
from tests.integration.amqp.caller import Caller
from tests.support.running import Running, running, until

if TYPE_CHECKING:
    from tests.conftest import Databases

pytestmark = pytest.mark.asyncio(loop_scope="module")

ONE = "application/cloudevents+json"
MANY = "application/cloudevents-batch+json"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(databases: Databases, rabbitmq_url: str) -> AsyncIterator[Running]:
    # What other modules have left behind in a shared one, such as leases that lapse, would record events meanwhile.
    url = databases.create()
    async with running(url, rabbitmq_url) as service:
        yield service
    databases.drop(url)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(service: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with service.client() as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def channel(service: Running, rabbitmq_url: str) -> AsyncIterator[AbstractChannel]:
    async with await aio_pika.connect(rabbitmq_url, timeout=60) as connection, connection.channel() as channel:
        yield channel


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def caller(channel: AbstractChannel) -> Caller:
    return await Caller.on(channel)


def command(data: object, **attributes: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": uuid4().hex,
        "source": "/shop",
        "type": "millrace.job.enqueue.v1",
        "data": data,
        **attributes,
    }


async def post(client: httpx.AsyncClient, media_type: str, body: object, **headers: str) -> httpx.Response:
    return await client.post("/api/commands", content=json.dumps(body), headers={"Content-Type": media_type, **headers})


async def events_of(client: httpx.AsyncClient, job_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get(f"/api/jobs/{job_id}/history")).json()
    return found


async def test_a_command_as_a_cloudevent_is_the_same_command_over_http_and_amqp(
    client: httpx.AsyncClient, caller: Caller
) -> None:
    event = command({"name": "resize", "data": {"n": 1}}, correlationid="order-7", causationid="click-1")
    over_http = (await post(client, ONE, event)).json()
    over_amqp = await caller.call("default.job.enqueue", event, content_type=ONE)
    plain = await caller.call("default.job.enqueue", event["data"], message_id=event["id"])
    assert over_http["ok"]
    assert over_http == over_amqp == plain
    recorded = await events_of(client, over_http["result"]["job_id"])
    assert [(each["correlationid"], each["causationid"]) for each in recorded] == [("order-7", "click-1")]


async def test_a_batch_of_cloudevents_is_answered_item_by_item_over_http(client: httpx.AsyncClient) -> None:
    batch = [
        command({"name": "resize"}),
        command({"name": 5}),
        {"specversion": "1.0"},
        command({"name": "resize"}, tenant="somebody-else"),
        command({"job_id": "nobody"}, type="job.cancel"),
        command({"name": "resize"}, type="job.enqueue"),
    ]
    answer = await post(client, MANY, batch)
    results = answer.json()["results"]
    codes = ["" if each["ok"] else each["error"]["code"] for each in results]
    assert (answer.status_code, codes) == (200, ["", "invalid", "invalid", "forbidden", "not-found", ""])
    assert (await post(client, MANY, batch)).json()["results"][0] == results[0]


async def test_a_batch_of_cloudevents_is_answered_item_by_item_over_amqp(caller: Caller) -> None:
    batch = [command({"name": "resize"}), command({"name": 5}), command({"name": "resize"})]
    reply = await caller.call("default.job.enqueue", batch, content_type=MANY)
    assert [each["ok"] for each in reply["results"]] == [True, False, True]
    assert await caller.call("default.job.enqueue", batch[0], content_type=ONE) == reply["results"][0]


BROKEN: dict[str, Any] = {
    "no CloudEvent": {"name": "resize"},
    "another version": command({"name": "resize"}, specversion="0.3"),
    "no data": {key: value for key, value in command({}).items() if key != "data"},
    "another tenant": command({"name": "resize"}, tenant="somebody-else"),
    "an id without end": command({"name": "resize"}, id="x" * 129),
}


@pytest.mark.parametrize("event", BROKEN.values(), ids=BROKEN)
async def test_what_is_no_command_is_a_typed_error_and_records_nothing(
    client: httpx.AsyncClient, caller: Caller, event: dict[str, Any]
) -> None:
    before = (await client.post("/api/queries/log.read", json={"after": "head"})).json()["result"]["position"]
    over_http = (await post(client, ONE, event)).json()
    over_amqp = await caller.call("default.job.enqueue", event, content_type=ONE)
    assert over_http["error"]["code"] in ("invalid", "forbidden")
    assert over_amqp["error"]["code"] in ("malformed", "invalid", "forbidden")
    after = (await client.post("/api/queries/log.read", json={"after": "head"})).json()["result"]["position"]
    assert before == after


async def test_every_event_leaves_as_a_cloudevent_everywhere_the_same(
    client: httpx.AsyncClient, caller: Caller, channel: AbstractChannel
) -> None:
    queue = await channel.declare_queue(exclusive=True)
    await queue.bind("millrace.events", routing_key="default.#")
    reply = await caller.call(
        "default.job.enqueue", {"name": "resize"}, headers={"company": "acme", "correlation": "order-8"}
    )
    own = await caller.call("default.event.publish", {"event_type": "shop.item.sold", "payload": {"n": 1}})
    arrived: list[aio_pika.abc.AbstractIncomingMessage] = []

    async def all_there() -> bool:
        message = await queue.get(no_ack=True, fail=False)
        arrived.extend([message] if message is not None else [])
        return {"default.job.enqueued", "default.shop.item.sold"} <= {each.routing_key for each in arrived}

    await until(all_there)
    by_key = {message.routing_key: message for message in arrived}
    enqueued, sold = (json.loads(by_key[key].body) for key in ("default.job.enqueued", "default.shop.item.sold"))
    assert by_key["default.job.enqueued"].content_type == ONE
    assert by_key["default.job.enqueued"].message_id == enqueued["id"]
    assert (enqueued["specversion"], enqueued["type"]) == ("1.0", "millrace.job.enqueued.v5")
    assert (enqueued["subject"], enqueued["tenant"]) == (reply["result"]["job_id"], "default")
    assert (enqueued["company"], enqueued["correlationid"]) == ("acme", "order-8")
    assert (enqueued["position"], enqueued["version"]) == (reply["position"], 1)
    assert datetime.fromisoformat(enqueued["time"]).utcoffset() is not None
    assert (sold["type"], sold["data"], sold["subject"]) == ("shop.item.sold", {"n": 1}, own["result"]["event_id"])
    assert [enqueued] == await events_of(client, enqueued["subject"])
    assert CloudEvent.model_validate(enqueued).subject == enqueued["subject"]
