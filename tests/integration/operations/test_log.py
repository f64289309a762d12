"""Every route, command, query and event of the log, of events that are published, and of subscriptions."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from millrace.contracts.catalogue import EVENTS
from tests.support.operations import Bench, data_of, versions

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_subscriptions_and_events_over_amqp(bench: Bench) -> None:
    name = uuid4().hex
    await bench.ask("subscription.create", {"name": name, "pattern": "shop.#"})
    await bench.ask("subscription.create", {"name": name, "pattern": "shop.item.#"})
    await bench.ask("event.publish", {"event_type": "shop.item.sold", "payload": {"n": 1}})
    page = (await bench.ask("log.read", {"pattern": "shop.#"}))["result"]
    event = page["events"][-1]
    parked = {"name": name, "position": event["position"], "event_id": event["id"], "error": "no"}
    await bench.ask("subscription.lease", {"name": name, "worker": "w"})
    await bench.ask("subscription.park", parked)
    await bench.ask("subscription.release", {"name": name, "event_id": event["id"]})
    await bench.ask("subscription.acknowledge", {"name": name, "position": "head"})
    await bench.ask("subscription.set_active", {"name": name, "active": False})
    reply = await bench.ask("subscription.set_active", {"name": name, "active": True})
    assert (await bench.ask("subscription.get", {"name": name}, reply["position"]))["result"]["subscription"][
        "is_active"
    ]
    assert (await bench.ask("subscription.list", {}))["result"]["subscriptions"]
    await bench.events("shop.item.sold", *(topic for topic in EVENTS if topic.startswith("subscription.")))


async def test_the_log_over_amqp(bench: Bench) -> None:
    job_id = await bench.job()
    assert (await bench.ask("log.history", {"kind": "job", "id": job_id}))["result"]["events"]
    assert (await bench.ask("log.state", {"kind": "job", "id": job_id, "at": "1"}))["result"]["version"] == 1
    assert (await bench.ask("log.why", {"id": job_id}))["result"]["events"]


@versions
async def test_events_and_subscriptions_over_http(bench: Bench, prefix: str) -> None:
    client, name = bench.client, uuid4().hex
    created = data_of(await client.post(f"{prefix}/subscriptions", json={"name": name, "pattern": "#"}), prefix, 201)
    event = {"event_type": "shop.item.sold", "payload": {"for": name}}
    assert data_of(await client.post(f"{prefix}/events", json=event), prefix, 201)["event_id"]
    after = {"after": created["position"], "pattern": "shop.#"}
    async with client.stream("GET", f"{prefix}/events", params=after) as stream:
        lines = [line async for line in _until(stream.aiter_lines(), "event: caught-up")]
    told = next(json.loads(line.removeprefix("data: ")) for line in lines if name in line)
    path = f"{prefix}/subscriptions/{name}"
    parked = {"position": told["position"], "event_id": told["id"], "error": "no"}
    data_of(await client.post(f"{path}/park", json=parked), prefix)
    data_of(await client.post(f"{path}/release", json={"event_id": told["id"]}), prefix)
    data_of(await client.post(f"{path}/acknowledge", json={"position": told["position"]}), prefix)
    data_of(await client.patch(path, json={"active": False}), prefix)
    assert data_of(await client.get(path), prefix)["is_active"] is False
    assert name in {each["name"] for each in data_of(await client.get(f"{prefix}/subscriptions"), prefix)}


async def _until(lines: AsyncIterator[str], last: str) -> AsyncIterator[str]:
    async for line in lines:
        yield line
        if line == last:
            return
