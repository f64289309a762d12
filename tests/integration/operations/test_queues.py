"""Every route, command, query and event of queues, circuits and batches."""

from __future__ import annotations

from uuid import uuid4

import pytest

from millrace.contracts.catalogue import EVENTS
from tests.support.eventually import eventually
from tests.support.operations import Bench, data_of, versions

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_batches_over_amqp(bench: Bench) -> None:
    batch_id = (await bench.ask("batch.create", {"name": "import", "on_complete": "report"}))["result"]["batch_id"]
    job_id = await bench.job(batch=batch_id)
    assert (await bench.ask("batch.seal", {"batch_id": batch_id}))["result"]["is_sealed"]
    assert (await bench.ask("batch.get", {"batch_id": batch_id}))["result"]["batch"]["open"] == 1
    await bench.ask("batch.cancel", {"batch_id": batch_id, "reason": "wrong file"})
    await bench.events("job.cancelled", "batch.completed")
    assert (await bench.ask("job.get", {"job_id": job_id}))["result"]["job"]["status"] == "cancelled"
    empty = (await bench.ask("batch.create", {"name": "empty"}))["result"]["batch_id"]
    await bench.ask("batch.seal", {"batch_id": empty})
    assert len((await bench.ask("batch.list", {"limit": 2}))["result"]["batches"]) == 2
    await bench.events(*(name for name in EVENTS if name.startswith("batch.")))


async def test_queues_over_amqp(bench: Bench) -> None:
    name = uuid4().hex
    settings = {"concurrency": 2, "rate": {"limit": 5}, "per_name": {"resize": {"concurrency": 1}}, "order": "fair"}
    await bench.ask("queue.configure", {"name": name, **settings})
    await bench.ask("queue.pause", {"name": name, "reason": "mended soon"})
    job_id = await bench.job(queue=name, key="a")
    await bench.ask("job.change", {"job_id": job_id, "priority": 5, "data": {"n": 1}})
    queue = (await bench.ask("queue.get", {"name": name}))["result"]["queue"]
    assert (queue["paused"], queue["ready"], queue["rate"]) == (True, 1, {"limit": 5, "period": 1.0, "burst": 5})
    assert name in {queue["name"] for queue in (await bench.ask("queue.list", {}))["result"]["queues"]}
    await bench.ask("queue.resume", {"name": name})
    assert (await bench.ask("queue.drain", {"name": name}))["result"] == {"name": name, "cancelled": 1}
    await bench.events("job.changed", *(topic for topic in EVENTS if topic.startswith("queue.")))


async def test_circuits_over_amqp(bench: Bench) -> None:
    name, queue = uuid4().hex, uuid4().hex
    await bench.ask("circuit.configure", {"name": name, "failures": 1, "pause": 2})

    async def state() -> str:
        return str((await bench.ask("circuit.get", {"name": name}))["result"]["circuit"]["state"])

    async def failing() -> str:
        await bench.ask("job.enqueue", {"name": name, "queue": queue, "max_attempts": 1})
        for grant in (await bench.ask("job.claim", {"worker": "w", "queues": [queue]}))["result"]["grants"]:
            attempt = {"job_id": grant["job_id"], "attempt": grant["attempt"]}
            await bench.ask("job.report", {**attempt, "outcome": "failed", "error": {"message": "no"}})
        return await state()

    await eventually(failing, lambda found: found == "open", 30)
    await eventually(state, lambda found: found == "half_open", 30)
    assert name in {each["name"] for each in (await bench.ask("circuit.list", {}))["result"]["circuits"]}
    await bench.ask("circuit.reset", {"name": name, "reason": "mended"})
    assert await state() == "closed"
    await bench.events(*(topic for topic in EVENTS if topic.startswith("circuit.")))


@versions
async def test_batches_over_http(bench: Bench, prefix: str) -> None:
    client, name = bench.client, uuid4().hex
    batch_id = data_of(await client.post(f"{prefix}/batches", json={"name": name}), prefix, 201)["batch_id"]
    data_of(await client.post(f"{prefix}/jobs", json={"name": "resize", "batch": batch_id}), prefix, 201)
    path = f"{prefix}/batches/{batch_id}"
    assert data_of(await client.get(path), prefix)["total"] == 1
    listed = data_of(await client.get(f"{prefix}/batches", params={"name": name}), prefix)
    assert [batch["id"] for batch in listed] == [batch_id]
    assert data_of(await client.post(f"{path}/seal"), prefix)["is_sealed"]
    assert data_of(await client.delete(path, params={"reason": "wrong file"}), prefix)["is_cancelled"]
    assert data_of(await client.get(f"{path}/history"), prefix)[2]["data"] == {"reason": "wrong file"}


@versions
async def test_queues_over_http(bench: Bench, prefix: str) -> None:
    client, name = bench.client, uuid4().hex
    path = f"{prefix}/queues/{name}"
    told = {"name": name, "paused": False}
    assert data_of(await client.patch(path, json={"concurrency": 1, "per_key": {"concurrency": 1}}), prefix) == told
    assert data_of(await client.post(f"{path}/pause", json={"reason": "mended soon"}), prefix)["paused"]
    body = {"name": "resize", "queue": name, "key": "a"}
    job_id = data_of(await client.post(f"{prefix}/jobs", json=body), prefix, 201)["job_id"]
    changed = data_of(await client.patch(f"{prefix}/jobs/{job_id}", json={"priority": 9}), prefix)
    assert changed == {"job_id": job_id, "status": "pending"}
    assert data_of(await client.get(path), prefix)["ready"] == 1
    assert name in {queue["name"] for queue in data_of(await client.get(f"{prefix}/queues"), prefix)}
    assert data_of(await client.post(f"{path}/resume"), prefix) == told
    assert data_of(await client.post(f"{path}/drain"), prefix) == {"name": name, "cancelled": 1}
    assert data_of(await client.get(f"{path}/history"), prefix)[0]["eventtype"] == "queue.opened"


@versions
async def test_circuits_over_http(bench: Bench, prefix: str) -> None:
    client, name = bench.client, uuid4().hex
    path = f"{prefix}/circuits/{name}"
    told = {"name": name, "state": "closed"}
    assert data_of(await client.put(path, json={"failures": 2, "window": 5}), prefix) == told
    circuit = data_of(await client.get(path), prefix)
    assert (circuit["state"], circuit["policy"]["failures"], circuit["held"]) == ("closed", 2, 0)
    assert name in {each["name"] for each in data_of(await client.get(f"{prefix}/circuits"), prefix)}
    assert data_of(await client.post(f"{path}/reset", json={"reason": "mended"}), prefix) == told
